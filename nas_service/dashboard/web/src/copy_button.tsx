// Copies a text and says so. Browsers lend the clipboard to safe addresses only: elsewhere there is no button.
import { useState } from "react";

const SAID_MS = 1500;

export function CopyButton({ text, children }: { text: string; children: string }) {
  const [copied, setCopied] = useState(false);
  const copy = () => void navigator.clipboard.writeText(text).then(() => {
    setCopied(true);
    window.setTimeout(() => setCopied(false), SAID_MS);
  });
  return navigator.clipboard ? <button type="button" onClick={copy} aria-live="polite">{copied ? "Copied" : children}</button> : null;
}
