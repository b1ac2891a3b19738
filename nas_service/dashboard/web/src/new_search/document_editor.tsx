// A search-space document in YAML or JSON: checked by the service while it is written, faults marked at their lines.
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import type * as Yaml from "yaml";
import { post } from "../api";
import { ProblemNote, problemsOf } from "../problem";
import type { FieldProblem, Json, SpaceCheck } from "../types";

interface Fault { line: number; text: string }
const CHECK_MS = 500;
const LINE_PX = 18;

function faultsOf(yaml: typeof Yaml, text: string, problems: FieldProblem[]): Fault[] {
  const counter = new yaml.LineCounter();
  const parsed = yaml.parseDocument(text, { lineCounter: counter });
  const syntax = parsed.errors.map((error) => ({ line: error.linePos?.[0].line ?? 1, text: error.message.split("\n")[0]! }));
  const named = problems.map((problem) => {
    const path = problem.pointer.replace(/^\/(space\/)?document/, "").split("/").slice(1).map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
    // The deepest part of the path that the text has.
    let node: unknown = parsed.contents;
    for (let depth = path.length; depth > 0; depth -= 1) {
      const steps = path.slice(0, depth).map((part) => (/^\d+$/.test(part) ? Number(part) : part));
      const found = parsed.getIn(steps, true);
      if (yaml.isNode(found)) {
        node = found;
        break;
      }
    }
    const start = yaml.isNode(node) ? (node.range?.[0] ?? 0) : 0;
    return { line: counter.linePos(start).line, text: `${path.join("/") || "document"}: ${problem.message}${problem.suggestion ? ` — ${problem.suggestion}` : ""}` };
  });
  return [...syntax, ...named].sort((a, b) => a.line - b.line);
}

export function DocumentEditor({ start, onDocument, onChecked }: { start: Json | null; onDocument: (document: Json | null) => void; onChecked: (check: SpaceCheck | null) => void }) {
  const [yaml, setYaml] = useState<typeof Yaml | null>(null);
  const [text, setText] = useState<string | null>(null);
  const [settled, setSettled] = useState("");
  const area = useRef<HTMLTextAreaElement>(null);
  const [scrolled, setScrolled] = useState(0);
  useEffect(() => void import("yaml").then(setYaml), []);
  useEffect(() => {
    if (yaml && text === null && start) setText(yaml.stringify(start, { lineWidth: 110 }));
  }, [yaml, start, text]);
  useEffect(() => {
    const timer = window.setTimeout(() => setSettled(text ?? ""), CHECK_MS);
    return () => window.clearTimeout(timer);
  }, [text]);
  const parsed = yaml && settled ? yaml.parseDocument(settled) : null;
  const document = parsed && parsed.errors.length === 0 ? (parsed.toJS() as Json | null) : null;
  const isObject = document !== null && typeof document === "object" && !Array.isArray(document);
  const check = useQuery<SpaceCheck, Error>({
    queryKey: ["check", settled],
    queryFn: () => post<SpaceCheck>("/v1/search-space-checks", { document }),
    enabled: isObject,
    retry: false,
    staleTime: Infinity,
  });
  useEffect(() => onDocument(isObject ? document : null), [settled, isObject]);
  useEffect(() => onChecked(isObject ? (check.data ?? null) : null), [check.data, isObject]);
  if (!yaml || text === null) return <p className="muted" role="status">Loading the editor …</p>;
  const faults = faultsOf(yaml, settled, isObject ? problemsOf(check.error) : []);
  if (parsed && parsed.errors.length === 0 && !isObject) faults.push({ line: 1, text: "a document is a mapping of names to values" });
  const marked = new Set(faults.map((fault) => fault.line));
  const goto = (line: number) => {
    const lines = text.split("\n");
    const from = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
    area.current?.focus();
    area.current?.setSelectionRange(from, from + (lines[line - 1]?.length ?? 0));
    if (area.current) area.current.scrollTop = Math.max(0, (line - 5) * LINE_PX);
  };
  return (
    <>
      <div className="editor">
        <div className="gutter" aria-hidden><div style={{ transform: `translateY(${-scrolled}px)` }}>{text.split("\n").map((_, place) => <div key={place} className={marked.has(place + 1) ? "fault" : ""}>{place + 1}</div>)}</div></div>
        <textarea ref={area} aria-label="search space document" aria-invalid={faults.length > 0} spellCheck={false} value={text} onChange={(event) => setText(event.target.value)} onScroll={(event) => setScrolled(event.currentTarget.scrollTop)} />
      </div>
      {faults.length > 0 && <ul className="faults" role="alert">{faults.map((fault, place) => <li key={place}><button type="button" className="link" onClick={() => goto(fault.line)}>line {fault.line}</button> {fault.text}</li>)}</ul>}
      {faults.length === 0 && <ProblemNote error={check.error} />}
      {faults.length === 0 && check.data && <p className="good" role="status">Valid: {check.data.name}, {check.data.num_genes} choices.</p>}
    </>
  );
}
