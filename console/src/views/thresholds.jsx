import { useMemo, useState } from "preact/hooks";
import { call, get } from "../api.js";
import { Lines } from "../chart.jsx";
import { count, fixed, percent, plural, wilson } from "../format.js";
import { Bars, Card, Notice, Problem, Table, Tile, View, useAction, useLoad } from "../parts.jsx";
import { outcomeAt, steps } from "../series.js";

const SOURCES = { feedback: "callers", shadow: "shadow checks", judge: "judge model" };

export function Thresholds({ can }) {
  const stats = useLoad((signal) => get("/admin/stats", { signal }));
  const reload = (
    <button type="button" onClick={stats.reload}>
      Refresh
    </button>
  );
  return (
    <View
      title="Thresholds"
      lead="What labels say about the semantic layer, and what another threshold would have done."
      actions={reload}
    >
      <Problem error={stats.error} />
      {stats.data ? (
        <>
          <Report shadow={stats.data.shadow} />
          <Tuning
            bins={stats.data.labels_by_probability}
            target={stats.data.shadow.target_error_rate}
            decision={stats.data.shadow.decision}
            changes={can("PUT", "/admin/config") && stats.data.shadow.decision === "verified"}
            onChanged={stats.reload}
          />
          <div class="grid">
            <Candidates of="probability" histogram={stats.data.candidates.probability} />
            <Candidates of="similarity" histogram={stats.data.candidates.similarity} />
          </div>
          <Labels shadow={stats.data.shadow} />
        </>
      ) : null}
    </View>
  );
}

function Report({ shadow }) {
  return (
    <dl class="tiles">
      <Tile
        name="mode"
        label="Mode"
        value={shadow.mode}
        note={`serves ${shadow.serve_percent} % of would-be hits`}
      />
      <Tile
        name="decision"
        label="Decision"
        value={shadow.decision}
        note={`${count(shadow.semantic_decisions)} so far`}
      />
      <Tile
        name="would_be"
        label="Would-be hit rate"
        value={percent(shadow.would_be_hit_rate)}
        note={`${count(shadow.served)} served, ${count(shadow.withheld)} withheld`}
      />
      <Tile
        name="estimate"
        label="Wrong by the model's estimate"
        value={percent(shadow.model_error_estimate)}
        note={`each hit at most ${percent(shadow.target_error_rate)}`}
      />
      <Tile
        name="checks"
        label="Shadow checks"
        value={count(shadow.checks.agreed + shadow.checks.disagreed)}
        note={`${count(shadow.checks.disagreed)} disagreed, ${count(shadow.checks.undecided)} undecided`}
      />
      <Tile
        name="tenants"
        label="Tenants with labels"
        value={count(shadow.tenants.calibrated + shadow.tenants.tightened + shadow.tenants.loosened)}
        note={`${count(shadow.tenants.tightened)} stricter, ${count(shadow.tenants.loosened)} looser`}
      />
    </dl>
  );
}

/** Every hundredth from one half on. */
const GRID = Array.from({ length: 50 }, (_, at) => (50 + at) / 100);

function Tuning({ bins, target, decision, changes, onChanged }) {
  const current = 1 - target;
  const [probability, setProbability] = useState(Math.round(current * 100) / 100);
  const outcome = outcomeAt(bins, probability);
  const series = useMemo(() => {
    const all = GRID.map((at) => outcomeAt(bins, at));
    return [
      {
        name: "wrong of served",
        colour: "series-4",
        values: all.map((one) => (one.served ? one.wrong / one.served : null)),
      },
      {
        name: "served of judged",
        colour: "series-1",
        values: all.map((one) => (one.labels ? one.served / one.labels : null)),
      },
    ];
  }, [bins]);
  const apply = useAction(async () => {
    const done = await call("PUT", "/admin/config", {
      "cache.target_error_rate": Number((1 - probability).toFixed(4)),
    });
    onChanged();
    return done;
  });
  return (
    <Card title="If the threshold had been…" wide>
      <div class="field">
        <label for="probability">
          Serve when likelier right than <output>{percent(probability, 0)}</output>
        </label>
        <input
          id="probability"
          type="range"
          min="0.5"
          max="0.99"
          step="0.01"
          value={probability}
          onInput={(event) => setProbability(Number(event.currentTarget.value))}
          aria-describedby="probability-says"
        />
      </div>
      <p id="probability-says" class="says" role="status">
        <Says outcome={outcome} />
      </p>
      {outcome.labels ? (
        <Lines
          label="Share of judged decisions served, and share of those that was wrong, by threshold"
          x={GRID}
          series={series}
          isTime={false}
          range={[0, 1]}
          format={(value) => percent(value, 0)}
          xFormat={(at) => percent(at, 0)}
          xName="Threshold"
        />
      ) : null}
      <p class="muted">
        {decision === "verified"
          ? `In force: ${percent(current, 0)} (cache.target_error_rate ${target}). `
          : `Decision ${decision} is in force: it holds the similarity against a threshold. `}
        Tau and error budgets make it stricter or looser for single users and tenants. Labels since the
        server's start. Only hits, withheld hits and lost hits are judged, so below what was served before
        little is known.
      </p>
      {changes ? (
        <div class="actions">
          <button
            type="button"
            onClick={() => apply.run()}
            disabled={apply.busy || Math.abs(probability - current) < 0.005}
          >
            Set target_error_rate to {(1 - probability).toFixed(2)}
          </button>
        </div>
      ) : null}
      <Problem error={apply.error} />
      {apply.result ? <Notice>The settings are changed; /admin/config/reset undoes it.</Notice> : null}
    </Card>
  );
}

function Says({ outcome }) {
  if (!outcome.labels) {
    return "No decision has been judged yet: send feedback, or set cache.shadow_check_share.";
  }
  const [low, high] = wilson(outcome.wrong, outcome.served);
  return (
    <>
      Of {plural(outcome.labels, "judged decision")}, {count(outcome.served)} would have been served,{" "}
      <strong>
        {count(outcome.wrong)} wrongly
        {outcome.served
          ? ` (${percent(outcome.wrong / outcome.served)}, 95 % interval ${percent(low)} to ${percent(high)})`
          : ""}
      </strong>
      ; {count(outcome.withheldRight)} right and {count(outcome.withheldWrong)} wrong ones would have been
      left out.
      {outcome.regained + outcome.lost
        ? ` Of ${plural(outcome.regained + outcome.lost, "lost hit")} it serves ${count(outcome.regained)}.`
        : ""}
    </>
  );
}

/** Where the best candidates lay, served or not. */
function Candidates({ of, histogram }) {
  const rows = steps(histogram).map((step) => ({
    name: step.name,
    value: step.hit + step.miss,
    text: `${count(step.hit)} served, ${count(step.miss)} not`,
  }));
  return (
    <Card title={`Best candidates by ${of}`}>
      {rows.length ? (
        <Bars label={`Semantic decisions since the start, by ${of} of the best candidate`} rows={rows} />
      ) : (
        <p class="empty">No decision with a candidate yet.</p>
      )}
    </Card>
  );
}

function Labels({ shadow }) {
  const rows = Object.entries(shadow.labels).map(([source, one]) => ({
    key: source,
    cells: [
      SOURCES[source] ?? source,
      count(one.right),
      count(one.wrong),
      percent(one.wrong_share),
      one.wrong_share_95.map((bound) => percent(bound)).join(" to "),
    ],
  }));
  return (
    <Card title="Labels by source" wide>
      <Table
        caption="Judged semantic hits, by who judged"
        columns={[
          "By",
          { name: "Right", number: true },
          { name: "Wrong", number: true },
          { name: "Share wrong", number: true },
          { name: "95 % interval", number: true },
        ]}
        rows={rows}
        empty="Nobody has judged a hit yet."
      />
      <p class="muted">
        What a guard refused does not appear here: no threshold would have served it. Target:{" "}
        {fixed(shadow.target_error_rate, 4)}.
      </p>
    </Card>
  );
}
