// Trials of a search as columns: read part by part, kept, and only what may have changed is read again.
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { get } from "./api";
import type { TrialColumns } from "./types";

export interface Columns {
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

function join(parts: TrialColumns[]): Columns {
  const names = Object.keys(parts[0]?.metrics ?? {});
  const genes = Object.keys(parts[0]?.choices ?? {});
  return {
    number: parts.flatMap((part) => part.number),
    state: parts.flatMap((part) => part.state ?? []),
    finished_unix_s: parts.flatMap((part) => part.finished_unix_s ?? []),
    metrics: Object.fromEntries(names.map((name) => [name, parts.flatMap((part) => part.metrics[name] ?? [])])),
    choices: Object.fromEntries(genes.map((name) => [name, parts.flatMap((part) => part.choices?.[name] ?? [])])),
  };
}

export function useColumns(searchId: string, fields: string[], live: boolean) {
  const client = useQueryClient();
  const path = `/v1/searches/${searchId}/trial-columns?fields=${[...new Set(fields)].sort().join(",")}`;
  const found = useQuery<Cached, Error>({
    queryKey: [path],
    queryFn: async () => {
      const parts = (client.getQueryData<Cached>([path])?.parts ?? []).filter((part) => part.is_final);
      let first: number | null = parts[parts.length - 1]?.next_first ?? 0;
      while (first !== null) {
        const part: TrialColumns = await get<TrialColumns>(`${path}&first=${first}`);
        parts.push(part);
        first = part.next_first;
      }
      return { parts, joined: join(parts) };
    },
    refetchInterval: live ? 3000 : false,
    staleTime: 2000,
    retry: 1,
  });
  return { columns: found.data?.joined, error: found.error, loading: found.isPending };
}
