// Fields made from the JSON Schema of a method's parameters. A value equal to its default is not kept.
import { Fold } from "../fold";
import { FieldNote } from "../problem";
import type { FieldProblem, Json } from "../types";

interface Props { schema: Json; root?: Json; value: Json; onChange: (value: Json) => void; pointer: string; problems: FieldProblem[] }
type Property = Json & { type?: string; enum?: unknown[]; default?: unknown; description?: string; properties?: Record<string, Property>; anyOf?: Property[]; items?: Property };

function resolved(property: Property, root: Json): { property: Property; nullable: boolean } {
  if (typeof property.$ref === "string") {
    const target = property.$ref.replace("#/", "").split("/").reduce<unknown>((at, name) => (at as Json)[name], root) as Property;
    return { property: { ...target, ...("default" in property ? { default: property.default } : {}) }, nullable: false };
  }
  const choices = property.anyOf?.filter((one) => one.type !== "null");
  if (property.anyOf && choices?.length === 1) {
    const inner = resolved(choices[0]!, root).property;
    return { property: { ...inner, default: property.default, description: property.description ?? inner.description }, nullable: choices.length < property.anyOf.length };
  }
  return { property, nullable: false };
}

export function SchemaForm({ schema, root = schema, value, onChange, pointer, problems }: Props) {
  const properties = Object.entries((schema.properties ?? {}) as Record<string, Property>);
  if (properties.length === 0) return <p className="muted">No parameters.</p>;
  const set = (name: string, given: unknown) => {
    const { [name]: _, ...rest } = value;
    onChange(given === undefined ? rest : { ...rest, [name]: given });
  };
  return (
    <div className="fields">
      {properties.map(([name, raw]) => {
        const { property, nullable } = resolved(raw, root);
        const place = `${pointer}/${name}`;
        if (property.properties) {
          const own = (value[name] ?? {}) as Json;
          return (
            <Fold key={name} className="nested" reveal={problems.some((problem) => problem.pointer.startsWith(place))} summary={<>{name}<FieldNote problems={problems} pointer={place} />{Object.keys(own).length > 0 && ` · ${Object.keys(own).length} changed`}</>}>
              <SchemaForm schema={property} root={root} value={own} onChange={(next) => set(name, Object.keys(next).length ? next : undefined)} pointer={place} problems={problems} />
            </Fold>
          );
        }
        const item = property.items && resolved(property.items, root).property;
        if (item?.properties) return <ItemForms key={name} name={name} item={item} root={root} help={property.description} value={Array.isArray(value[name]) ? (value[name] as Json[]) : []} onChange={(next) => set(name, next.length ? next : undefined)} pointer={place} problems={problems} />;
        return (
          <label key={name} className={name in value ? "changed" : ""} title={property.description}>
            <span>{name}</span>
            <Field name={name} property={property} nullable={nullable} value={value[name]} onChange={(given) => set(name, given)} />
            <FieldNote problems={problems} pointer={place} below />
            {property.description && <small>{property.description}</small>}
          </label>
        );
      })}
    </div>
  );
}

function Field({ name, property, nullable, value, onChange }: { name: string; property: Property; nullable: boolean; value: unknown; onChange: (value: unknown) => void }) {
  const standard = property.default;
  const shown = standard == null ? (nullable ? "none" : "required") : String(typeof standard === "object" ? JSON.stringify(standard) : standard);
  const keep = (given: unknown) => onChange(given === standard ? undefined : given);
  if (property.enum) {
    const options = property.enum.map(String);
    return (
      <select value={String(value ?? standard ?? "")} onChange={(event) => keep(event.target.value)}>
        {standard === undefined && <option value="" />}
        {options.map((option) => <option key={option}>{option}</option>)}
      </select>
    );
  }
  if (property.type === "boolean")
    return <select value={String(value ?? standard ?? "")} onChange={(event) => keep(event.target.value === "true")}><option value="true">yes</option><option value="false">no</option></select>;
  if (property.type === "integer" || property.type === "number") {
    const low = property.minimum ?? property.exclusiveMinimum;
    const high = property.maximum ?? property.exclusiveMaximum;
    return <input type="number" step={property.type === "integer" ? 1 : "any"} min={low as number | undefined} max={high as number | undefined} placeholder={shown} value={value == null ? "" : String(value)} onChange={(event) => keep(event.target.value === "" ? undefined : Number(event.target.value))} />;
  }
  if (property.type === "string") return <input placeholder={shown} value={value == null ? "" : String(value)} onChange={(event) => keep(event.target.value || undefined)} />;
  if (property.type === "array" && property.items?.type === "string")
    return <textarea rows={3} placeholder="one per line" value={Array.isArray(value) ? value.join("\n") : ""} onChange={(event) => onChange(event.target.value === "" ? undefined : event.target.value.split("\n"))} />;
  return <JsonField name={name} shown={shown} value={value} onChange={onChange} />;
}

// A list of objects: one form each, in order.
function ItemForms({ name, item, root, help, value, onChange, pointer, problems }: { name: string; item: Property; root: Json; help?: string; value: Json[]; onChange: (value: Json[]) => void; pointer: string; problems: FieldProblem[] }) {
  return (
    <fieldset className="nested">
      <legend>{name} <span className="muted">{help}</span></legend>
      <FieldNote problems={problems} pointer={pointer} />
      {value.map((one, place) => (
        <details key={place} className="nested" open>
          <summary>{place + 1} <button type="button" className="quiet" aria-label={`remove ${name} ${place + 1}`} onClick={() => onChange(value.filter((_, index) => index !== place))}>✕</button></summary>
          <FieldNote problems={problems} pointer={`${pointer}/${place}`} />
          <SchemaForm schema={item} root={root} value={one} onChange={(next) => onChange(value.map((old, index) => (index === place ? next : old)))} pointer={`${pointer}/${place}`} problems={problems} />
        </details>
      ))}
      <button type="button" onClick={() => onChange([...value, {}])}>Add</button>
    </fieldset>
  );
}

// Other lists and objects are written as JSON; text that is not JSON yet is sent as text, and the service names the place.
function JsonField({ name, shown, value, onChange }: { name: string; shown: string; value: unknown; onChange: (value: unknown) => void }) {
  return (
    <textarea rows={3} aria-label={`${name} as JSON`} placeholder={shown} value={value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value)}
      onChange={(event) => {
        const text = event.target.value;
        if (text.trim() === "") return onChange(undefined);
        try {
          onChange(JSON.parse(text));
        } catch {
          onChange(text);
        }
      }} />
  );
}
