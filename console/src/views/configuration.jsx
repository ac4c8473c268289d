import { useMemo, useState } from "preact/hooks";
import { call, get, post } from "../api.js";
import { cut } from "../format.js";
import { Ask, Badge, Card, Field, Notice, Problem, View, useAction, useLoad } from "../parts.jsx";

const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));

function useSettings() {
  return useLoad(async (signal) => {
    const [effective, schema] = await Promise.all([
      get("/admin/config", { signal }),
      get("/admin/config/schema", { signal }),
    ]);
    return { effective, rows: schema.keys.map((spec) => ({ ...spec, ...rowOf(effective, spec.name) })) };
  });
}

function rowOf(effective, name) {
  const [section, key] = name.split(".");
  return { section, key, ...effective.sections[section]?.[key] };
}

export function Configuration({ can }) {
  const settings = useSettings();
  const [filter, setFilter] = useState("");
  const [changed, setChanged] = useState(false);
  const [edited, setEdited] = useState(null);
  const changes = can("PUT", "/admin/config");
  const reload = useAction(async () => {
    const done = await post("/admin/reload");
    settings.reload();
    return done;
  });
  const shown = useMemo(() => {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
    return (settings.data?.rows ?? []).filter((row) => {
      const all = `${row.name} ${row.sentence} ${text(row.value)}`.toLowerCase();
      return words.every((word) => all.includes(word)) && (!changed || row.origin !== "built-in");
    });
  }, [settings.data, filter, changed]);
  const sections = [...new Set(shown.map((row) => row.section))];
  const actions = (
    <>
      {can("POST", "/admin/reload") ? (
        <button type="button" onClick={() => reload.run()} disabled={reload.busy}>
          Reload the file
        </button>
      ) : null}
      {can("POST", "/admin/config/reset") ? (
        <Reset rows={settings.data?.rows ?? []} onDone={settings.reload} />
      ) : null}
    </>
  );
  return (
    <View title="Configuration" lead="Settings in force, and where each comes from." actions={actions}>
      <Problem error={settings.error ?? reload.error} />
      {reload.result ? <Done change={reload.result} /> : null}
      {settings.data ? <State effective={settings.data.effective} /> : null}
      <div class="row">
        <Field label="Filter" type="search" value={filter} onValue={setFilter} />
        <label class="check">
          <input
            type="checkbox"
            checked={changed}
            onChange={(event) => setChanged(event.currentTarget.checked)}
          />
          Only what is not a default
        </label>
      </div>
      {sections.map((section) => (
        <Section
          key={section}
          name={section}
          rows={shown.filter((row) => row.section === section)}
          open={filter !== "" || changed || section === "cache"}
          onEdit={changes ? setEdited : null}
        />
      ))}
      {settings.data && sections.length === 0 ? <p class="empty">No setting matches.</p> : null}
      {edited ? <Edit row={edited} onClose={() => setEdited(null)} onDone={settings.reload} /> : null}
    </View>
  );
}

function State({ effective }) {
  const { environment, file, pending_restart: pending, valid, errors } = effective;
  return (
    <>
      {valid ? null : (
        <Notice kind="bad">
          The newest settings file is refused, so older settings stay in force: {errors.join("; ")}
        </Notice>
      )}
      {pending.length ? <Notice kind="warn">Waiting for a restart: {pending.join(", ")}.</Notice> : null}
      <p class="muted">
        Environment {environment}; file {file ? <code>{file}</code> : "none"}.
      </p>
    </>
  );
}

function Done({ change }) {
  const overridden = Object.entries(change.overridden_by ?? {});
  if (change.changed.length + change.pending_restart.length + overridden.length === 0) {
    return <Notice>Read again: nothing is different.</Notice>;
  }
  return (
    <Notice kind={overridden.length ? "warn" : "good"}>
      {change.changed.length ? `Changed: ${change.changed.join(", ")}. ` : ""}
      {change.pending_restart.length ? `After a restart: ${change.pending_restart.join(", ")}. ` : ""}
      {overridden.map(([key, by]) => `${key} has no effect, because ${by} gives it. `)}
    </Notice>
  );
}

function Reset({ rows, onDone }) {
  const [asking, setAsking] = useState(false);
  const mine = rows.filter((row) => row.origin === "admin").map((row) => row.name);
  const reset = useAction(async () => {
    await post("/admin/config/reset");
    setAsking(false);
    onDone();
  });
  return (
    <>
      <button type="button" onClick={() => setAsking(true)} disabled={mine.length === 0}>
        Reset changes
      </button>
      {asking ? (
        <Ask
          title="Forget the changes made here"
          confirm="Reset"
          danger
          busy={reset.busy}
          error={reset.error}
          onConfirm={() => reset.run()}
          onClose={() => setAsking(false)}
        >
          <p>File, environment and defaults decide again about: {mine.join(", ")}.</p>
        </Ask>
      ) : null}
    </>
  );
}

function Section({ name, rows, open, onEdit }) {
  return (
    <details class="card wide section" open={open}>
      <summary>
        <h2>{name}</h2> <span class="muted">{rows.length}</span>
      </summary>
      <ul class="settings">
        {rows.map((row) => (
          <li key={row.name} data-setting={row.name}>
            <div>
              <strong>{row.key}</strong> <code class="value">{text(row.value) || "(empty)"}</code>{" "}
              {row.unit ? <span class="muted">{row.unit}</span> : null}
              <div class="muted">{row.sentence}</div>
            </div>
            <div class="origin">
              <Badge kind={row.origin === "built-in" ? "" : "info"}>{row.origin}</Badge>
              {row.reload === "restart" ? <Badge>restart</Badge> : null}
              {onEdit ? (
                <button
                  type="button"
                  class="small"
                  aria-label={`Change ${row.name}`}
                  onClick={() => onEdit(row)}
                >
                  Change
                </button>
              ) : null}
            </div>
          </li>
        ))}
      </ul>
    </details>
  );
}

/** What the server is to read: lists and numbers as JSON, texts as they are. */
function valueOf(row, value) {
  if (row.type === "bool") return value === "true";
  if (row.type === "list" || row.type === "routes") {
    try {
      return JSON.parse(value);
    } catch {
      throw new Error(`${row.name}: must be a JSON list such as ["a", "b"]`);
    }
  }
  if (row.type === "int" || row.type === "double") {
    if (value.trim() === "" || Number.isNaN(Number(value)))
      throw new Error(`${row.name}: ${cut(value, 40) || "nothing"} is no number`);
    return Number(value);
  }
  return value;
}

function Edit({ row, onClose, onDone }) {
  const [value, setValue] = useState(row.secret ? "" : text(row.value));
  const body = () => ({ [row.name]: valueOf(row, value) });
  const check = useAction(() => {
    save.clear();
    return call("PUT", "/admin/config?dry_run=true", body());
  });
  const save = useAction(async () => {
    check.clear();
    const done = await call("PUT", "/admin/config", body());
    onDone();
    return done;
  });
  const input = { label: row.name, value, onValue: setValue, help: allowed(row) };
  const choices = row.type === "bool" ? ["true", "false"] : row.choices;
  return (
    <Ask
      title="Change a setting"
      confirm={save.result ? null : "Save"}
      more={save.result ? null : <CheckButton action={check} />}
      cancel={save.result ? "Close" : "Cancel"}
      busy={save.busy}
      error={save.error ?? check.error}
      onConfirm={() => save.run()}
      onClose={onClose}
    >
      <p class="muted">{row.sentence}</p>
      {choices?.length ? (
        <Field as="select" {...input}>
          {choices.map((choice) => (
            <option key={choice} value={choice}>
              {choice}
            </option>
          ))}
        </Field>
      ) : (
        <Field {...input} type={row.secret ? "password" : "text"} spellcheck={false} autocomplete="off" />
      )}
      {row.reload === "restart" ? <Notice kind="warn">It takes effect at the next start.</Notice> : null}
      {check.result && !save.result ? <Valid change={check.result} /> : null}
      {save.result ? <Done change={save.result} /> : null}
    </Ask>
  );
}

const CheckButton = ({ action }) => (
  <button type="button" onClick={() => action.run()} disabled={action.busy}>
    Check only
  </button>
);

function Valid({ change }) {
  const what = [...change.changed, ...change.pending_restart.map((name) => `${name} (after a restart)`)];
  return (
    <Notice>
      Valid. {what.length ? `It would change ${what.join(", ")}.` : "It would change nothing."}
    </Notice>
  );
}

function allowed(row) {
  if (row.min !== undefined)
    return `${row.min} to ${row.max}${row.unit ? ` ${row.unit}` : ""}; default ${text(row.default)}`;
  if (row.type === "list" || row.type === "routes") return `A JSON list; default ${text(row.default)}`;
  if (row.secret) return "Kept in the storage folder, never shown.";
  return row.default === "" ? "Default: empty" : `Default: ${text(row.default)}`;
}
