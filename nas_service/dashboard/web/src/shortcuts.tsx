// Keys: each view says which it has, `?` lists them all. Nothing is caught while somebody types.
import { useEffect, useRef, useState } from "react";

interface Shortcut {
  keys: string;
  what: string;
  act: () => void;
}
const known = new Set<Shortcut>();
const CHORD_MS = 1200;

export function useShortcut(keys: string, what: string, act: () => void): void {
  const latest = useRef(act);
  latest.current = act;
  useEffect(() => {
    const shortcut = { keys, what, act: () => latest.current() };
    known.add(shortcut);
    return () => void known.delete(shortcut);
  }, [keys, what]);
}

// j and k move through rows; the selection itself stays with the view.
export function useRowKeys(ids: string[], selected: string | null, select: (id: string) => void): void {
  const step = (by: number) => {
    const place = selected === null ? -1 : ids.indexOf(selected);
    const next = ids[Math.max(0, Math.min(ids.length - 1, place < 0 ? 0 : place + by))];
    if (next !== undefined) select(next);
  };
  useShortcut("j", "next row", () => step(1));
  useShortcut("k", "previous row", () => step(-1));
}

const typing = (target: EventTarget | null) =>
  target instanceof HTMLElement && (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName));

export function ShortcutHelp() {
  const dialog = useRef<HTMLDialogElement>(null);
  const [shown, setShown] = useState<Shortcut[]>([]);
  useEffect(() => {
    let before = "";
    let timer: number | undefined;
    const press = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || dialog.current?.open) return;
      if (event.key === "?") {
        setShown([...known]);
        dialog.current?.showModal();
        event.preventDefault();
        return;
      }
      const match = [...known].find((item) => item.keys === `${before} ${event.key}`) ?? [...known].find((item) => item.keys === event.key);
      before = event.key;
      window.clearTimeout(timer);
      timer = window.setTimeout(() => (before = ""), CHORD_MS);
      if (!match) return;
      before = "";
      event.preventDefault();
      match.act();
    };
    window.addEventListener("keydown", press);
    return () => window.removeEventListener("keydown", press);
  }, []);
  return (
    <dialog ref={dialog} aria-label="keyboard shortcuts" onClick={(event) => event.target === dialog.current && dialog.current.close()}>
      <h2>Keys</h2>
      <dl className="keys">
        {shown.map((item) => (
          <div key={item.keys + item.what}><dt>{item.keys.split(" ").map((key) => <kbd key={key}>{key}</kbd>)}</dt><dd>{item.what}</dd></div>
        ))}
        <div><dt><kbd>?</kbd></dt><dd>this list</dd></div>
      </dl>
      <form method="dialog" className="row end"><button autoFocus>Close</button></form>
    </dialog>
  );
}
