// Moves through the history of a search: the front as it was after N evaluations.
import { useEffect, useRef, useState } from "react";
import { useShortcut } from "../shortcuts";

const STEP_MS = 250;
const STEPS = 40;

export function Scrubber({ total, at, history, onMove }: { total: number; at: number | null; history: { num_evaluations: number; front_size: number }[]; onMove: (at: number | null) => void }) {
  const [playing, setPlaying] = useState(false);
  const place = useRef(at);
  place.current = at;
  const move = (to: number) => onMove(to >= total ? null : Math.max(1, to));
  const step = Math.max(1, Math.round(total / STEPS));
  useEffect(() => {
    if (!playing) return;
    const timer = window.setInterval(() => {
      const now = place.current;
      if (now === null) setPlaying(false);
      else move(now + step);
    }, STEP_MS);
    return () => window.clearInterval(timer);
  }, [playing, total]);
  useShortcut("[", "front: some evaluations earlier", () => move((at ?? total) - step));
  useShortcut("]", "front: some evaluations later", () => at !== null && move(at + step));
  if (total < 2) return null;
  const size = [...history].reverse().find((point) => point.num_evaluations <= (at ?? total))?.front_size;
  return (
    <div className="row scrubber">
      <button onClick={() => { if (!playing && at === null) move(1); setPlaying(!playing); }}>{playing ? "Stop" : "Play"}</button>
      <input type="range" className="wide" aria-label="front after this many evaluations" min={1} max={total} value={at ?? total} onChange={(event) => { setPlaying(false); move(Number(event.target.value)); }} />
      <span className="tabular">after {at ?? total} of {total} evaluations{size !== undefined && at !== null && ` · ${size} points then`}</span>
      {at !== null && <button className="quiet" onClick={() => onMove(null)}>Now</button>}
    </div>
  );
}
