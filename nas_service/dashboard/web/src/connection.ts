// Whether the service answers, as one fact that every page can show.
import { useSyncExternalStore } from "react";

let lostAt: number | null = null;
const listeners = new Set<() => void>();

export function reportReached(reached: boolean): void {
  const next = reached ? null : (lostAt ?? Date.now());
  if (next === lostAt) return;
  lostAt = next;
  for (const listener of listeners) listener();
}

// When the service stopped answering (milliseconds), or null while it answers.
export function useLostAt(): number | null {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => lostAt,
  );
}
