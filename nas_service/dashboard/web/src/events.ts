// The live stream of a search: what an event may have changed is read again, at most twice a second.
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import type { SearchEvent } from "./types";

type StreamState = "live" | "connecting" | "asleep" | "ended";
const KEPT = 500;
const MILESTONES = 100;
// Those of single trials and of every step of the front are many.
const isMilestone = (event: SearchEvent) => !/^(trials?|front|finalist)\./.test(event.type);
const REFRESH_MS = 500;
const RETRY_MS = 3000;

export function useEvents(searchId: string, ended: boolean): { events: SearchEvent[]; milestones: SearchEvent[]; stream: StreamState } {
  const client = useQueryClient();
  const [events, setEvents] = useState<SearchEvent[]>([]);
  const [milestones, setMilestones] = useState<SearchEvent[]>([]);
  const [stream, setStream] = useState<StreamState>("connecting");
  const over = useRef(ended);
  over.current = ended;
  useEffect(() => {
    let source: EventSource | undefined;
    let retry: number | undefined;
    let refresh: number | undefined;
    let last = 0;
    let fresh: SearchEvent[] = [];
    let marked: SearchEvent[] = [];
    const flush = () => {
      refresh = undefined;
      const arrived = fresh.reverse();
      fresh = [];
      setEvents((known) => [...arrived, ...known].slice(0, KEPT));
      const reached = marked.reverse();
      marked = [];
      if (reached.length > 0) setMilestones((known) => [...reached, ...known].slice(0, MILESTONES));
      if (over.current) return; // the history of a finished search changes nothing
      void client.invalidateQueries({
        predicate: (query) => {
          const key = String(query.queryKey[0]);
          // Columns and timeline grow with the search and are read at their own pace.
          return (key.includes(searchId) || key.startsWith("/v1/supernets")) && !/trial-columns|timeline/.test(key);
        },
      });
    };
    const open = () => {
      window.clearTimeout(retry);
      source?.close();
      source = new EventSource(`/v1/searches/${searchId}/events?after=${last}`);
      source.onopen = () => setStream("live");
      source.onmessage = (message) => {
        const event = JSON.parse(message.data) as SearchEvent;
        last = event.seq;
        fresh.push(event);
        if (fresh.length > KEPT) fresh.shift();
        if (isMilestone(event)) marked.push(event);
        refresh ??= window.setTimeout(flush, REFRESH_MS);
      };
      source.onerror = () => {
        setStream("connecting");
        // A refused stream (service restarting, too many tabs) is not retried by the browser.
        if (source?.readyState === EventSource.CLOSED && !over.current) retry = window.setTimeout(open, RETRY_MS);
      };
    };
    // Browsers allow six connections to one host over all tabs: a hidden tab gives its stream back.
    const follow = () => {
      if (document.hidden) {
        source?.close();
        window.clearTimeout(retry);
        setStream("asleep");
      } else open();
    };
    follow();
    document.addEventListener("visibilitychange", follow);
    return () => {
      document.removeEventListener("visibilitychange", follow);
      source?.close();
      window.clearTimeout(retry);
      window.clearTimeout(refresh);
    };
  }, [searchId, client]);
  return { events, milestones, stream: ended ? "ended" : stream };
}
