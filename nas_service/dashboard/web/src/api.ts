// The public REST API as the dashboard uses it: typed answers, problem documents as errors, one event stream a search.
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { ProblemDocument, SearchEvent } from "./types";

export class ApiError extends Error {
  constructor(readonly problem: ProblemDocument) {
    super(problem.detail ?? problem.title);
  }
}

export async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method === "POST") headers["Idempotency-Key"] = crypto.randomUUID();
  const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  if (answer.status === 401 && path !== "/v1/session") window.dispatchEvent(new Event("signed-out"));
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({ title: answer.statusText, status: answer.status }));
    throw new ApiError(problem as ProblemDocument);
  }
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

export const get = <T,>(path: string) => call<T>("GET", path);
export const post = <T,>(path: string, body: unknown = {}) => call<T>("POST", path, body);

export function useGet<T>(path: string | null, options: { every_ms?: number } = {}) {
  return useQuery<T, Error>({
    queryKey: [path],
    queryFn: () => get<T>(path!),
    enabled: path !== null,
    refetchInterval: options.every_ms,
    placeholderData: (previous) => previous,
    retry: 1,
  });
}

// Follows a search's events; what an event may have changed is read again, at most twice a second.
export function useEvents(searchId: string): { events: SearchEvent[]; connected: boolean } {
  const client = useQueryClient();
  const [events, setEvents] = useState<SearchEvent[]>([]);
  const [connected, setConnected] = useState(true);
  useEffect(() => {
    setEvents([]);
    let timer: number | undefined;
    const source = new EventSource(`/v1/searches/${searchId}/events`);
    const refresh = () => {
      timer ??= window.setTimeout(() => {
        timer = undefined;
        void client.invalidateQueries({
          predicate: (query) => {
            const key = String(query.queryKey[0]);
            return key.includes(searchId) || key.startsWith("/v1/supernets");
          },
        });
      }, 500);
    };
    source.onopen = () => setConnected(true);
    source.onerror = () => setConnected(false);
    source.onmessage = (message) => {
      setConnected(true);
      const event = JSON.parse(message.data) as SearchEvent;
      setEvents((known) => [event, ...known].slice(0, 500));
      refresh();
    };
    return () => {
      source.close();
      window.clearTimeout(timer);
    };
  }, [searchId, client]);
  return { events, connected };
}
