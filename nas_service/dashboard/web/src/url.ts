// State of a view that lives in its address, so that every view and selection can be shared.
import { useCallback } from "react";
import { useSearchParams } from "wouter";

export function useUrl() {
  const [params, setParams] = useSearchParams();
  // Sets or (null) removes parameters; `replace` keeps sliders out of the browser's history.
  const set = useCallback(
    (changes: Record<string, string | null>, replace = false) =>
      setParams(
        (old) => {
          const fresh = new URLSearchParams(old);
          for (const [name, value] of Object.entries(changes)) {
            if (value === null) fresh.delete(name);
            else fresh.set(name, value);
          }
          return fresh;
        },
        { replace },
      ),
    [setParams],
  );
  return { params, set };
}
