// The public REST API as the dashboard uses it: typed answers, and problem documents as errors.
import { useQuery } from "@tanstack/react-query";
import { reportReached } from "./connection";
import type { ProblemDocument } from "./types";

// What was read this short a time ago, for instance before the view that shows it was there, is not read again.
const FRESH_MS = 1000;

export class ApiError extends Error {
  constructor(readonly problem: ProblemDocument) {
    super(problem.detail ?? problem.title);
  }
}

export async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method === "POST") headers["Idempotency-Key"] = crypto.randomUUID();
  let answer: Response;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    reportReached(false);
    throw new Error("The service does not answer. It is asked again every few seconds.");
  }
  reportReached(true);
  if (answer.status === 401 && path !== "/v1/session") window.dispatchEvent(new Event("signed-out"));
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({ title: answer.statusText, status: answer.status }));
    throw new ApiError(problem as ProblemDocument);
  }
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

export const get = <T,>(path: string) => call<T>("GET", path);
export const post = <T,>(path: string, body: unknown = {}) => call<T>("POST", path, body);

export function useGet<T>(path: string | null, options: { every_ms?: number | false; fixed?: boolean } = {}) {
  return useQuery<T, Error>({
    queryKey: [path],
    queryFn: () => get<T>(path!),
    enabled: path !== null,
    refetchInterval: options.every_ms,
    staleTime: options.fixed ? Infinity : FRESH_MS,
    placeholderData: (previous) => previous,
    retry: 1,
  });
}
