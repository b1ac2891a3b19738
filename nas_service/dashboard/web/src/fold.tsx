// A fold that the reader opens and closes, and that opens by itself when something in it needs to be seen.
import { useState, type ReactNode } from "react";

export function Fold({ summary, children, className, reveal = false }: { summary: ReactNode; children: ReactNode; className?: string; reveal?: boolean }) {
  const [open, setOpen] = useState(reveal);
  const [revealed, setRevealed] = useState(reveal);
  if (reveal !== revealed) {
    setRevealed(reveal);
    if (reveal) setOpen(true);
  }
  return <details className={className} open={open} onToggle={(event) => event.currentTarget === event.target && setOpen(event.currentTarget.open)}><summary>{summary}</summary>{children}</details>;
}
