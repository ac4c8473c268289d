// What the views are made of.
import { useEffect, useId, useRef, useState } from "preact/hooks";

/** A promise's state: {data, error, loading, reload}. Loads again when a dependency changes. */
export function useLoad(load, dependencies = []) {
  const [state, setState] = useState({ loading: true });
  const [round, setRound] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    setState((before) => ({ ...before, loading: true }));
    load(abort.signal).then(
      (data) => abort.signal.aborted || setState({ data, loading: false }),
      (error) =>
        abort.signal.aborted || setState((before) => ({ data: before.data, error, loading: false })),
    );
    return () => abort.abort();
  }, [...dependencies, round]);
  return { ...state, reload: () => setRound((before) => before + 1) };
}

/** An action of the user: {run, busy, error, result}. */
export function useAction(action) {
  const [state, setState] = useState({});
  const run = async (...values) => {
    setState({ busy: true });
    try {
      const result = await action(...values);
      setState({ result });
      return result;
    } catch (error) {
      setState({ error });
      return undefined;
    }
  };
  return { ...state, run, clear: () => setState({}) };
}

export function Problem({ error }) {
  if (!error) return null;
  return (
    <div class="notice bad" role="alert">
      {error.status ? <strong>{error.status} </strong> : null}
      {error.message}
    </div>
  );
}

export function Notice({ kind = "good", children }) {
  return (
    <div class={`notice ${kind}`} role="status">
      {children}
    </div>
  );
}

export function View({ title, lead, actions, children }) {
  const heading = useRef();
  useEffect(() => {
    document.title = `${title} · Enhanced GPTCache`;
    // Keyboard and screen reader go on where the new view begins; not at the first one, which is no surprise.
    if (document.body.dataset.navigated) heading.current.focus();
  }, [title]);
  return (
    <>
      <div class="view-head">
        <div>
          <h1 ref={heading} tabIndex={-1}>
            {title}
          </h1>
          {lead ? <p class="lead">{lead}</p> : null}
        </div>
        {actions ? <div class="actions">{actions}</div> : null}
      </div>
      {children}
    </>
  );
}

export function Card({ title, children, wide, actions }) {
  const id = useId();
  return (
    <section class={wide ? "card wide" : "card"} aria-labelledby={title ? id : undefined}>
      {title ? (
        <div class="card-head">
          <h2 id={id}>{title}</h2>
          {actions}
        </div>
      ) : null}
      {children}
    </section>
  );
}

export function Tile({ label, value, note, name }) {
  return (
    <div class="tile" data-tile={name}>
      <dt>{label}</dt>
      <dd>
        <span class="figure">{value}</span>
        {note ? <span class="note">{note}</span> : null}
      </dd>
    </div>
  );
}

export const Badge = ({ kind, children }) => <span class={`badge ${kind ?? ""}`}>{children}</span>;

/** rows: [[cell...]]; columns: names, or {name, number: true}. With more than three columns a row is a block
 * of named lines on a phone; the roles are said, because the style takes them away there. */
export function Table({ caption, columns, rows, empty = "Nothing here.", visibleCaption }) {
  const specs = columns.map((column) => (typeof column === "string" ? { name: column } : column));
  if (rows.length === 0) return <p class="empty">{empty}</p>;
  const isWide = specs.length > 3;
  const role = (name) => (isWide ? name : undefined);
  return (
    <div class="scroll" role="group" aria-label={caption} tabIndex={0}>
      <table class={isWide ? "stack" : ""} role={role("table")}>
        <caption class={visibleCaption ? "" : "only-read"}>{caption}</caption>
        <thead role={role("rowgroup")}>
          <tr role={role("row")}>
            {specs.map((column) => (
              <th scope="col" role={role("columnheader")} class={column.number ? "number" : ""}>
                {column.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role={role("rowgroup")}>
          {rows.map((row) => (
            <tr key={row.key} role={role("row")}>
              {(row.cells ?? row).map((cell, at) => (
                <td
                  class={specs[at].number ? "number" : (specs[at].class ?? "")}
                  role={role("cell")}
                  data-label={isWide ? specs[at].name : undefined}
                >
                  {isWide ? <div class={cell === "–" ? "none" : ""}>{cell}</div> : cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** A labelled input, select or textarea with its help and error. */
export function Field({ label, help, error, as: As = "input", value, onValue, children, ...rest }) {
  const id = useId();
  const described = [help && `${id}-help`, error && `${id}-error`].filter(Boolean).join(" ");
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <As
        id={id}
        value={value}
        onInput={(event) => onValue(event.currentTarget.value)}
        aria-describedby={described || undefined}
        aria-invalid={error ? "true" : undefined}
        {...rest}
      >
        {children}
      </As>
      {help ? (
        <small id={`${id}-help`} class="help">
          {help}
        </small>
      ) : null}
      {error ? (
        <small id={`${id}-error`} class="error">
          {error}
        </small>
      ) : null}
    </div>
  );
}

export function Check({ label, checked, onValue }) {
  return (
    <label class="check">
      <input type="checkbox" checked={checked} onChange={(event) => onValue(event.currentTarget.checked)} />
      {label}
    </label>
  );
}

/** A modal question; the browser keeps the focus inside and gives it back. */
export function Ask({
  title,
  children,
  confirm,
  danger,
  more,
  cancel = "Cancel",
  onConfirm,
  onClose,
  error,
  busy,
}) {
  const dialog = useRef();
  const id = useId();
  useEffect(() => {
    const box = dialog.current;
    box.showModal();
    // Closing it gives the focus back to what opened it.
    return () => box.open && box.close();
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          onConfirm();
        }}
      >
        <h2 id={id}>{title}</h2>
        {children}
        <Problem error={error} />
        <div class="actions end">
          <button type="button" onClick={() => dialog.current.close()}>
            {cancel}
          </button>
          {more}
          {confirm ? (
            <button type="submit" class={danger ? "danger" : "primary"} disabled={busy}>
              {confirm}
            </button>
          ) : null}
        </div>
      </form>
    </dialog>
  );
}

/** Shares of a whole as bars with their figures in words. */
export function Bars({ rows, label }) {
  const largest = Math.max(1e-9, ...rows.map((row) => row.value));
  return (
    <table class="bars">
      <caption class="only-read">{label}</caption>
      <tbody>
        {rows.map((row) => (
          <tr key={row.name}>
            <th scope="row">{row.name}</th>
            <td class="bar" aria-hidden="true">
              <span class={row.kind ?? ""} style={{ width: `${(100 * row.value) / largest}%` }} />
            </td>
            <td class="number">{row.text}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function Copy({ text }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard?.writeText(text);
    setDone(true);
  };
  return (
    <button type="button" class="small" onClick={copy}>
      {done ? "Copied" : "Copy"}
    </button>
  );
}
