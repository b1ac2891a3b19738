// A method by name with what it is for, and its parameters behind a fold.
import { Fold } from "../fold";
import { FieldNote } from "../problem";
import type { FieldProblem, Json, Method } from "../types";
import type { MethodDraft } from "./draft";
import { SchemaForm } from "./schema_form";

export function MethodSection({ label, methods, value, onChange, pointer, problems }: { label: string; methods: Method[]; value: MethodDraft; onChange: (value: MethodDraft) => void; pointer: string; problems: FieldProblem[] }) {
  const method = methods.find((one) => one.name === value.name);
  const changed = Object.keys(value.params).length;
  const troubled = problems.some((problem) => problem.pointer.startsWith(`${pointer}/params`));
  return (
    <>
      <label>{label}
        <select aria-label={label} value={value.name} onChange={(event) => onChange({ name: event.target.value, params: {} })}>
          {!method && <option>{value.name}</option>}
          {methods.map((one) => <option key={one.name}>{one.name}</option>)}
        </select>
        <FieldNote problems={problems} pointer={`${pointer}/name`} />
      </label>
      {method && <p className="muted">{method.help}</p>}
      {method && Object.keys((method.parameters.properties ?? {}) as Json).length > 0 && (
        <Fold key={method.name} className="parameters" reveal={troubled} summary={<>Parameters of {method.name}{changed > 0 && ` · ${changed} changed`}</>}>
          <SchemaForm schema={method.parameters} value={value.params} onChange={(params) => onChange({ ...value, params })} pointer={`${pointer}/params`} problems={problems} />
        </Fold>
      )}
    </>
  );
}
