// Trials of a search as columns: read part by part, kept, and only what may have changed is read again.
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { get } from "./api";
import type { TrialColumns } from "./types";

interface Columns {
  number: number[];
  state: string[];
  finished_unix_s: (number | null)[];
  metrics: Record<string, (number | null)[]>;
  choices: Record<string, number[]>;
}

interface Cached {
  parts: TrialColumns[];
  joined: Columns;
}

// A finished search is read in few large parts. Of a live one the last part is read again and again, so parts are small.
const FINISHED_PART = 200_000;
const LIVE_PART = 20_000;

function join(parts: TrialColumns[]): Columns {
  const joined = <T,>(column: (part: TrialColumns) => T[] | null | undefined): T[] =>
    parts.length === 1 ? (column(parts[0]!) ?? []) : parts.flatMap((part) => column(part) ?? []);
  const named = <T,>(group: (part: TrialColumns) => Record<string, T[]> | null): Record<string, T[]> =>
    Object.fromEntries(Object.keys(group(parts[0]!) ?? {}).map((name) => [name, joined((part) => group(part)?.[name])]));
  return {
    number: joined((part) => part.number),
    state: joined((part) => part.state),
    finished_unix_s: joined((part) => part.finished_unix_s),
    metrics: named((part) => part.metrics),
    choices: named((part) => part.choices),
  };
}

// `every`: only trials with a number divisible by it.
export function useColumns(searchId: string, fields: string[], live: boolean, { every = 1, enabled = true } = {}) {
  const client = useQueryClient();
  const path = `/v1/searches/${searchId}/trial-columns?fields=${[...new Set(fields)].sort().join(",")}${every > 1 ? `&every=${every}` : ""}`;
  // What was read while the search went on is read once more when it is over.
  const queryKey = [path, live];
  const found = useQuery<Cached, Error>({
    queryKey,
    queryFn: async () => {
      const parts = (client.getQueryData<Cached>(queryKey)?.parts ?? []).filter((part) => part.is_final);
      let first: number | null = parts[parts.length - 1]?.next_first ?? 0;
      while (first !== null) {
        const part: TrialColumns = await get<TrialColumns>(`${path}&first=${first}&limit=${live ? LIVE_PART : FINISHED_PART}`);
        parts.push(part);
        first = part.next_first;
      }
      return { parts, joined: join(parts) };
    },
    enabled,
    refetchInterval: live ? 3000 : false,
    staleTime: live ? 2000 : Infinity,
    placeholderData: (previous) => previous,
    retry: 1,
  });
  return { columns: found.data?.joined, error: found.error };
}
