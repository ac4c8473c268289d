// One decision of the cache, explained: shared by the playground and the entry browser.
import { count, cut, fixed, ms, percent, plural } from "../format.js";
import { Badge, Card, Table } from "../parts.jsx";

const LAYERS = { exact: "exact layer: the same request", semantic: "semantic layer: the same meaning" };
const REASONS = {
  empty: "nothing is stored in this partition (tenant, namespace, model, system prompt)",
  no_candidate: "no stored question is similar enough to be a candidate",
  below_threshold: "the best candidate is below the threshold",
  context: "the conversations before the questions differ",
  verifier: "the verifier does not find it likely enough that one answer fits both",
  ineligible: "the semantic layer may not look at this question",
  shadow: "it would have been served, but shadow mode or serve_percent withheld it",
};

export function reasonText(reason, detail) {
  if (reason.startsWith("guard:")) return `the guard “${reason.slice(6)}” refused`;
  return (REASONS[reason] ?? reason) + (detail ? ` (${detail})` : "");
}

export function Verdict({ decision }) {
  if (decision.hit) {
    return (
      <p class="verdict">
        <Badge kind="good">Hit</Badge> {LAYERS[decision.layer] ?? decision.layer}
      </p>
    );
  }
  return (
    <p class="verdict">
      <Badge kind="warn">Miss</Badge> {reasonText(decision.reason, decision.detail)}
    </p>
  );
}

export function Explanation({ explanation }) {
  const { decision, required } = explanation;
  const best = decision.hit ? decision : decision.nearest;
  const facts = [
    ["Policy", explanation.policy],
    ["Best similarity", best ? fixed(best.similarity) : "–"],
    ["Best probability", best ? fixed(best.probability) : "–"],
    ["Similarity held against", explanation.threshold ? fixed(explanation.threshold) : "–"],
    ["Probability needed", required ? fixed(required.probability) : "–"],
    ["Tau", `${fixed(explanation.tau, 4)} (${explanation.tau_source})`],
    ["Entries in the partition", count(explanation.partition_entries)],
    ["Tokens of the question", `${explanation.text.tokens}, ${explanation.text.unknown_tokens} unknown`],
    ["Took", ms(decision.latency_ms)],
  ];
  return (
    <>
      <Card title="How it was decided">
        <dl class="facts">
          {facts.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
        {required ? <Requirement required={required} /> : null}
      </Card>
      <Candidates candidates={explanation.candidates} />
    </>
  );
}

/** Where the needed probability comes from. */
function Requirement({ required }) {
  const shifts = [
    ["tau of the user", required.tau_shift],
    ["error budget of the tenant", required.tenant_shift],
    ["wrong answers in this partition", required.partition_shift],
  ].filter(([, shift]) => shift !== 0);
  const labels = required.labels.right + required.labels.wrong;
  return (
    <p class="muted">
      Serve when likelier right than {percent(1 - required.target_error_rate)} (cache.target_error_rate)
      {shifts.map(
        ([name, shift]) =>
          `, ${shift > 0 ? "stricter" : "looser"} by ${fixed(Math.abs(shift), 2)} log odds for the ${name}`,
      )}
      .{labels ? ` The tenant has ${plural(labels, "label")}, ${count(required.labels.wrong)} wrong.` : ""}
    </p>
  );
}

function Candidates({ candidates }) {
  const rows = candidates.map((one) => ({
    key: one.entry_id,
    cells: [
      <>
        {one.served ? <Badge kind="good">served</Badge> : null} {cut(one.query)}
        <br />
        <a href={`#/entries?id=${one.entry_id}`}>
          <code>{one.entry_id.slice(0, 12)}</code>
        </a>
      </>,
      fixed(one.similarity),
      fixed(one.probability),
      fixed(one.divergence),
      <Checks checks={one.checks} />,
    ],
  }));
  return (
    <Card title="Candidates">
      <Table
        caption="Candidates, most similar first"
        columns={[
          "Stored question",
          { name: "Similarity", number: true },
          { name: "Probability", number: true },
          { name: "Divergence", number: true },
          "Checks",
        ]}
        rows={rows}
        empty="No stored question came near."
      />
    </Card>
  );
}

function Checks({ checks }) {
  const entries = Object.entries(checks);
  const failed = entries.filter(([, verdict]) => verdict !== "pass");
  const passed = entries.filter(([, verdict]) => verdict === "pass").map(([name]) => name);
  return (
    <ul class="checks">
      {failed.map(([name, verdict]) => (
        <li key={name}>
          <Badge kind="bad">{name}</Badge> {verdict}
        </li>
      ))}
      {passed.length ? (
        <li>
          <Badge kind="good">pass</Badge> {passed.join(", ")}
        </li>
      ) : null}
    </ul>
  );
}

export function Answer({ value }) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  return (
    <pre class="answer" tabIndex={0} aria-label="Answer">
      {text}
    </pre>
  );
}
