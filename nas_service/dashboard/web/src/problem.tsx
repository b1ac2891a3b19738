// Says what went wrong, where, and what is allowed; with the request id for the operator.
import { ApiError } from "./api";
import type { FieldProblem, Warning } from "./types";

export const problemsOf = (error: Error | null | undefined): FieldProblem[] =>
  error instanceof ApiError ? (error.problem.errors ?? []) : [];

export function ProblemNote({ error }: { error: Error | null | undefined }) {
  if (!error) return null;
  const problem = error instanceof ApiError ? error.problem : null;
  return (
    <div className="problem" role="alert">
      {problem?.detail ?? error.message}
      {problem?.errors && (
        <ul>
          {problem.errors.map((item) => (
            <li key={item.pointer + item.message}>
              <code>{item.pointer || "/"}</code> {item.message}
              {item.suggestion && <> — {item.suggestion}</>}
            </li>
          ))}
        </ul>
      )}
      {problem?.request_id && <div className="muted">request {problem.request_id}</div>}
    </div>
  );
}

// What went wrong without ending anything, and what to change.
export const WarningNotes = ({ warnings }: { warnings: Warning[] }) =>
  warnings.map((warning) => <div className="warning" role="status" key={warning.code + warning.message}><b>{warning.message}</b><span>{warning.suggestion}</span></div>);

// What is wrong with one field, right beside it.
export function FieldNote({ problems, pointer, below = false }: { problems: FieldProblem[]; pointer: string; below?: boolean }) {
  const own = problems.filter((item) => item.pointer === pointer || (below && item.pointer.startsWith(`${pointer}/`)));
  return own.map((item) => (
    <span className="field-problem" role="alert" key={item.pointer + item.message}>
      {below && item.pointer !== pointer && <code>{item.pointer} </code>}
      {item.message}{item.suggestion && <> — {item.suggestion}</>}
    </span>
  ));
}

export function Loading({ what }: { what: string }) {
  return <div className="card muted" role="status">Loading {what} …</div>;
}
