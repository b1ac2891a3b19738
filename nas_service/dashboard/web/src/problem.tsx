// Says what went wrong, where, and what is allowed; with the request id for the operator.
import { ApiError } from "./api";

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
