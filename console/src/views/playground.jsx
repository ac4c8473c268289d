import { useState } from "preact/hooks";
import { post } from "../api.js";
import { duration, fixed, ms } from "../format.js";
import { Card, Field, Notice, Problem, View, useAction } from "../parts.jsx";
import { Answer, Explanation, Verdict } from "./decision.jsx";

const ROLES = ["user", "assistant", "tool", "system"];

/** "user: hello" lines to turns; a line without a role goes on with the turn before. */
export function readContext(text) {
  const turns = [];
  for (const line of text.split("\n")) {
    const [, role, content] = /^\s*(\w+):\s?(.*)$/.exec(line) ?? [];
    if (ROLES.includes(role)) turns.push({ role, content });
    else if (turns.length) turns.at(-1).content += `\n${line}`;
    else if (line.trim())
      throw new Error(`Context: the first line must begin with one of ${ROLES.join(", ")} and a colon`);
  }
  return turns;
}

const EMPTY = { query: "", context: "", namespace: "", model: "", threshold: "" };

/** The body of a lookup: what is empty is left out. */
function bodyOf(form) {
  const body = { query: form.query };
  const context = readContext(form.context);
  if (context.length) body.context = context;
  if (form.namespace) body.namespace = form.namespace;
  if (form.model) body.model = form.model;
  if (form.threshold !== "") {
    body.threshold = Number(form.threshold);
    if (Number.isNaN(body.threshold)) throw new Error(`Threshold: ${form.threshold} is no number`);
  }
  return body;
}

export function Playground({ can }) {
  const [form, setForm] = useState(EMPTY);
  const explains = can("POST", "/cache/explain");
  const ask = useAction(async () => {
    const body = bodyOf(form);
    const lookup = await post("/cache/lookup", body);
    const explanation = explains ? await post("/cache/explain", body) : null;
    return { body, lookup, explanation };
  });
  const field = (name) => ({
    value: form[name],
    onValue: (value) => setForm({ ...form, [name]: value }),
    error: ask.error?.param === name ? ask.error.message : undefined,
  });
  const submit = (event) => {
    event.preventDefault();
    ask.run();
  };
  return (
    <View title="Playground" lead="Ask the cache, not the provider, and see how it decides.">
      <form class="card wide" onSubmit={submit}>
        <Field label="Question" as="textarea" rows={2} required {...field("query")} />
        <details>
          <summary>Context, namespace, model, threshold</summary>
          <Field
            label="Conversation before it"
            as="textarea"
            rows={3}
            help={`One turn a line, as “user: …” or “assistant: …”.`}
            {...field("context")}
          />
          <div class="row">
            <Field label="Namespace" {...field("namespace")} />
            <Field label="Model" help="Empty is default." {...field("model")} />
            <Field
              label="Threshold"
              inputmode="decimal"
              help="0 to 1; can only raise it."
              {...field("threshold")}
            />
          </div>
        </details>
        {ask.error && !ask.error.param ? <Problem error={ask.error} /> : null}
        <div class="actions">
          <button type="submit" class="primary" disabled={ask.busy}>
            Ask
          </button>
        </div>
      </form>
      {ask.result ? <Result key={ask.result.lookup.request_id} {...ask.result} can={can} /> : null}
    </View>
  );
}

function Result({ body, lookup, explanation, can }) {
  return (
    <div aria-live="polite">
      <Card title="Decision" wide>
        <Verdict decision={lookup} />
        {lookup.hit ? <Answer value={lookup.response} /> : null}
        <p class="muted">
          {lookup.hit ? `Stored ${duration(lookup.age_seconds)} ago. ` : ""}
          {lookup.similarity != null ? `Similarity ${fixed(lookup.similarity)}. ` : ""}
          Took {ms(lookup.latency_ms)}; request <code>{lookup.request_id}</code>.
          {explanation ? "" : " Why is told to operators and admins."}
        </p>
        {can("POST", "/cache/feedback") ? <Judge lookup={lookup} explanation={explanation} /> : null}
        {!lookup.hit && can("POST", "/cache/entries") ? <Store body={body} /> : null}
      </Card>
      {explanation ? <Explanation explanation={explanation} /> : null}
    </div>
  );
}

const ACTIONS = {
  confirmed: "Confirmed.",
  removed: "The entry is removed.",
  recorded: "Recorded.",
  recorded_lost_hit: "Recorded as a lost hit.",
  none: "Nothing changed: it was judged before.",
};

function Judge({ lookup, explanation }) {
  const tell = useAction((verdict) =>
    post("/cache/feedback", { request_id: lookup.request_id, ...verdict }),
  );
  const nearest = lookup.nearest?.entry_id ?? explanation?.decision.nearest?.entry_id;
  if (tell.result) {
    return (
      <Notice>
        {ACTIONS[tell.result.action] ?? tell.result.action} Tau of this user is now{" "}
        {fixed(tell.result.tau, 4)}.
      </Notice>
    );
  }
  return (
    <>
      <div class="actions">
        {lookup.hit ? (
          <>
            <button type="button" onClick={() => tell.run({ correct: true })}>
              The answer is right
            </button>
            <button type="button" onClick={() => tell.run({ correct: false })}>
              It is wrong
            </button>
          </>
        ) : null}
        {!lookup.hit && nearest ? (
          <button type="button" onClick={() => tell.run({ missed_entry_id: nearest })}>
            The nearest entry should have been served
          </button>
        ) : null}
      </div>
      <Problem error={tell.error} />
    </>
  );
}

function Store({ body }) {
  const [answer, setAnswer] = useState("");
  const store = useAction(() => {
    const { threshold, ...entry } = body;
    return post("/cache/entries", { ...entry, response: answer });
  });
  if (store.result) {
    const [id] = store.result.ids;
    return (
      <Notice>
        Stored as <a href={`#/entries?id=${id}`}>{id.slice(0, 12)}</a>
        {store.result.semantic[0] ? "" : ", for the very same request only"}. Ask again to see it found.
      </Notice>
    );
  }
  const submit = (event) => {
    event.preventDefault();
    store.run();
  };
  return (
    <details>
      <summary>Store an answer to this question</summary>
      <form onSubmit={submit}>
        <Field label="Answer" as="textarea" rows={3} required value={answer} onValue={setAnswer} />
        <Problem error={store.error} />
        <button type="submit" disabled={store.busy}>
          Store
        </button>
      </form>
    </details>
  );
}
