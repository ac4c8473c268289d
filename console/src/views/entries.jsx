import { useEffect, useState } from "preact/hooks";
import { call, get, keepCredential, post, queryOf } from "../api.js";
import { count, cut, fixed, time } from "../format.js";
import {
  Ask,
  Badge,
  Card,
  Copy,
  Field,
  Notice,
  Problem,
  Table,
  View,
  useAction,
  useLoad,
} from "../parts.jsx";
import { Answer, Explanation, Verdict } from "./decision.jsx";

const PAGE = 50;
const EMPTY = { q: "", tag: "", model: "", namespace: "", subject: "" };

export function Entries({ session, query, can }) {
  const chosen = query.get("id") ?? "";
  const lists = can("GET", "/cache/entries");
  const [round, setRound] = useState(0);
  const changed = () => setRound((before) => before + 1);
  return (
    <View
      title="Entries"
      lead={`Stored answers of ${session.tenant || "callers without a credential"}, newest first.`}
    >
      {session.security ? null : <AsCaller onChange={changed} />}
      {chosen ? <Entry key={`${chosen}-${round}`} id={chosen} can={can} onRemoved={changed} /> : null}
      {lists ? <Search key={`list-${round}`} can={can} chosen={chosen} /> : <ById chosen={chosen} />}
    </View>
  );
}

/** With security off every provider credential is a tenant of its own; the console itself has none. */
function AsCaller({ onChange }) {
  const [value, setValue] = useState("");
  const submit = (event) => {
    event.preventDefault();
    keepCredential(value);
    onChange();
  };
  return (
    <details>
      <summary>Entries of another caller</summary>
      <form class="row" onSubmit={submit}>
        <Field
          label="Provider key of that caller"
          type="password"
          autocomplete="off"
          value={value}
          onValue={setValue}
          help="While security is off, entries belong to whoever sent them. Empty: no credential."
        />
        <button type="submit">Use</button>
      </form>
    </details>
  );
}

function ById({ chosen }) {
  const [id, setId] = useState(chosen);
  const submit = (event) => {
    event.preventDefault();
    location.hash = `#/entries?id=${encodeURIComponent(id.trim())}`;
  };
  return (
    <form class="card wide" onSubmit={submit}>
      <Field
        label="Entry id"
        value={id}
        onValue={setId}
        required
        help="Your role reads entries by their id; operators and admins also search."
      />
      <button type="submit">Show</button>
    </form>
  );
}

function Search({ can, chosen }) {
  const [form, setForm] = useState(EMPTY);
  const [wanted, setWanted] = useState(EMPTY);
  const [pages, setPages] = useState([]);
  const [cursor, setCursor] = useState(null);
  const load = useAction(async (filter, from) => {
    const page = await get(`/cache/entries${queryOf({ ...filter, limit: PAGE, cursor: from })}`);
    setPages((before) => (from ? [...before, ...page.entries] : page.entries));
    setCursor(page.next_cursor);
    return page;
  });
  useEffect(() => {
    load.run(wanted);
  }, [wanted]);
  const field = (name) => ({ value: form[name], onValue: (value) => setForm({ ...form, [name]: value }) });
  const submit = (event) => {
    event.preventDefault();
    setWanted({ ...form });
  };
  const rows = pages.map((entry) => ({
    key: entry.id,
    cells: [
      <a href={`#/entries?id=${entry.id}`} aria-current={entry.id === chosen ? "true" : undefined}>
        {cut(entry.query) || "(no text)"}
      </a>,
      entry.model,
      entry.namespace || "–",
      entry.tags.map((tag) => <Badge key={tag}>{tag}</Badge>),
      count(entry.hits),
      entry.semantic ? "semantic" : "exact only",
      <time dateTime={new Date(entry.created_ms).toISOString()}>{time(entry.created_ms)}</time>,
    ],
  }));
  return (
    <Card title="Search" wide>
      <form onSubmit={submit} role="search">
        <div class="row">
          <Field label="Question contains" type="search" {...field("q")} />
          <Field label="Tag" {...field("tag")} />
          <Field label="Model" {...field("model")} />
          <Field label="Namespace" {...field("namespace")} />
          <Field label="Subject" {...field("subject")} />
        </div>
        <div class="actions">
          <button type="submit" class="primary">
            Search
          </button>
          {can("POST", "/cache/invalidate") ? (
            <RemoveAll filter={wanted} onDone={() => setWanted({ ...wanted })} />
          ) : null}
        </div>
      </form>
      <Problem error={load.error} />
      <Table
        caption="Entries"
        columns={[
          "Question",
          "Model",
          "Namespace",
          "Tags",
          { name: "Hits", number: true },
          "Found by",
          "Stored",
        ]}
        rows={rows}
        empty={load.busy ? "Loading…" : "No entry matches."}
      />
      {cursor ? (
        <button type="button" onClick={() => load.run(wanted, cursor)} disabled={load.busy}>
          More
        </button>
      ) : null}
    </Card>
  );
}

/** Counts first, then asks. */
function RemoveAll({ filter, onDone }) {
  const [matched, setMatched] = useState(null);
  const body = {};
  if (filter.q) body.query_contains = filter.q;
  if (filter.tag) body.tags = [filter.tag];
  for (const name of ["model", "namespace", "subject"]) if (filter[name]) body[name] = filter[name];
  const look = useAction(async () =>
    setMatched((await post("/cache/invalidate", { ...body, dry_run: true })).matched),
  );
  const remove = useAction(async () => {
    await post("/cache/invalidate", body);
    setMatched(null);
    onDone();
  });
  if (Object.keys(body).length === 0) return null;
  return (
    <>
      <button type="button" class="danger" onClick={() => look.run()}>
        Remove all that match
      </button>
      <Problem error={look.error} />
      {matched === null ? null : (
        <Ask
          title="Remove entries"
          confirm={`Remove ${count(matched)}`}
          danger
          busy={remove.busy}
          error={remove.error}
          onConfirm={() => remove.run()}
          onClose={() => setMatched(null)}
        >
          <p>
            {count(matched)} {matched === 1 ? "entry matches" : "entries match"}, listed or not. They cannot
            be brought back.
          </p>
        </Ask>
      )}
    </>
  );
}

function Entry({ id, can, onRemoved }) {
  const entry = useLoad((signal) => get(`/cache/entries/${encodeURIComponent(id)}`, { signal }), [id]);
  const [asking, setAsking] = useState(false);
  const explain = useAction(({ query, model, namespace }) =>
    post("/cache/explain", { query, model, ...(namespace ? { namespace } : {}) }),
  );
  const judge = useAction((correct) => post("/cache/feedback", { entry_id: id, correct }));
  const remove = useAction(async () => {
    await call("DELETE", `/cache/entries/${encodeURIComponent(id)}`);
    setAsking(false);
    location.hash = "#/entries";
    onRemoved();
  });
  const data = entry.data;
  return (
    <Card title="Entry" wide actions={<a href="#/entries">Close</a>}>
      {entry.loading && !data ? <p class="wait">Loading…</p> : null}
      <Problem error={entry.error} />
      {data ? (
        <>
          <p class="question">{data.query}</p>
          <Answer value={data.response} />
          <Facts entry={data} />
          <div class="actions">
            {can("POST", "/cache/explain") ? (
              <button type="button" onClick={() => explain.run(data)} disabled={explain.busy}>
                Explain
              </button>
            ) : null}
            {can("POST", "/cache/feedback") ? (
              <>
                <button type="button" onClick={() => judge.run(true)}>
                  Right
                </button>
                <button type="button" onClick={() => judge.run(false)}>
                  Wrong: remove it
                </button>
              </>
            ) : null}
            <button type="button" class="danger" onClick={() => setAsking(true)}>
              Delete
            </button>
          </div>
          <Problem error={judge.error ?? explain.error} />
          {judge.result ? (
            <Notice>
              {judge.result.action === "removed" ? "The entry is removed." : "Noted."} Tau is now{" "}
              {fixed(judge.result.tau, 4)}.
            </Notice>
          ) : null}
          {explain.result ? (
            <div aria-live="polite">
              <h3>If this question were asked now, without a conversation before it</h3>
              <Verdict decision={explain.result.decision} />
              <Explanation explanation={explain.result} />
            </div>
          ) : null}
        </>
      ) : null}
      {asking ? (
        <Ask
          title="Delete this entry"
          confirm="Delete"
          danger
          busy={remove.busy}
          error={remove.error}
          onConfirm={() => remove.run()}
          onClose={() => setAsking(false)}
        >
          <p>{cut(data.query)}</p>
          <p>The next time it is asked, the provider answers.</p>
        </Ask>
      ) : null}
    </Card>
  );
}

function Facts({ entry }) {
  const facts = [
    [
      "Id",
      <span>
        <code>{entry.id}</code> <Copy text={entry.id} />
      </span>,
    ],
    ["Model", entry.model],
    ["Namespace", entry.namespace || "–"],
    ["Tags", entry.tags.join(", ") || "–"],
    ["Subject", entry.subject || "–"],
    ["Dialect", entry.dialect],
    ["Stored", time(entry.created_ms)],
    ["Expires", entry.expires_ms ? time(entry.expires_ms) : "never"],
    ["Hits", count(entry.hits)],
    ["Tokens", `${count(entry.tokens_prompt)} in, ${count(entry.tokens_completion)} out`],
  ];
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
