import { useState } from "preact/hooks";
import { post } from "../api.js";
import { count } from "../format.js";
import { Ask, Card, Copy, Field, Problem, View, useAction } from "../parts.jsx";

/** Only where the server has /cache/erase. */
export function Erasure({ can }) {
  const [subject, setSubject] = useState("");
  const [matched, setMatched] = useState(null);
  const look = useAction(async () => {
    if (!can("POST", "/cache/invalidate")) return setMatched("All entries");
    const found = await post("/cache/invalidate", { subject, dry_run: true });
    return setMatched(`${count(found.matched)} ${found.matched === 1 ? "entry" : "entries"}`);
  });
  const erase = useAction(async () => {
    const receipt = await post("/cache/erase", { subject });
    setMatched(null);
    return receipt;
  });
  const submit = (event) => {
    event.preventDefault();
    look.run();
  };
  return (
    <View
      title="Erasure"
      lead="Erases everything kept of one person, in old backups too, and gives a signed receipt."
    >
      <form class="card wide" onSubmit={submit}>
        <Field
          label="Subject"
          required
          value={subject}
          onValue={setSubject}
          help="As it was given with the entries: X-Cache-Subject, the field subject, or a token's subject."
        />
        <Problem error={look.error} />
        <button type="submit" class="danger" disabled={look.busy}>
          Erase…
        </button>
      </form>
      {matched === null ? null : (
        <Ask
          title="Erase for good"
          confirm="Erase"
          danger
          busy={erase.busy}
          error={erase.error}
          onConfirm={() => erase.run()}
          onClose={() => setMatched(null)}
        >
          <p>
            {matched} of <strong>{subject}</strong>, and what was learned about this user. Nothing brings it
            back.
          </p>
        </Ask>
      )}
      {erase.result ? <Receipt receipt={erase.result} /> : null}
    </View>
  );
}

function Receipt({ receipt }) {
  const text = JSON.stringify(receipt, null, 2);
  const file = `data:application/json;charset=utf-8,${encodeURIComponent(text)}`;
  return (
    <Card title="Receipt" wide>
      <div role="status">
        <pre class="answer" tabIndex={0} aria-label="Receipt">
          {text}
        </pre>
      </div>
      <div class="actions">
        <Copy text={text} />
        <a class="button" href={file} download="erasure-receipt.json">
          Save
        </a>
      </div>
    </Card>
  );
}
