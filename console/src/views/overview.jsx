import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { readEvents } from "../api.js";
import { Lines } from "../chart.jsx";
import { bytes, compact, count, duration, money, ms, percent, plural, time } from "../format.js";
import { Bars, Card, Notice, Problem, Tile, View } from "../parts.jsx";
import { distribution, rate, shares } from "../series.js";

const INTERVAL_MS = 2000;
const KEPT = 300; // samples: ten minutes
const RETRY_MS = 3000;

/** The last samples of /admin/events, while not paused. */
function useSamples(paused) {
  const [samples, setSamples] = useState([]);
  const [error, setError] = useState();
  useEffect(() => {
    if (paused) return undefined;
    const abort = new AbortController();
    let timer;
    const follow = async () => {
      try {
        await readEvents(`/admin/events?interval_ms=${INTERVAL_MS}`, abort.signal, (name, data) => {
          setError(undefined);
          if (name === "stats") setSamples((before) => [...before.slice(1 - KEPT), data]);
        });
      } catch (failed) {
        if (abort.signal.aborted) return;
        setError(failed);
      }
      if (!abort.signal.aborted) timer = setTimeout(follow, RETRY_MS);
    };
    follow();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [paused]);
  return { samples, error };
}

const REASONS = {
  hit: "served",
  empty: "nothing stored",
  no_candidate: "no candidate",
  below_threshold: "below threshold",
  context: "other context",
  guard: "guard",
  verifier: "verifier",
  ineligible: "not eligible",
  shadow: "withheld (shadow)",
};

export function Overview() {
  const [paused, setPaused] = useState(false);
  const { samples, error } = useSamples(paused);
  const now = samples.at(-1);
  const button = (
    <button type="button" onClick={() => setPaused(!paused)} aria-pressed={paused}>
      {paused ? "Go on" : "Pause"}
    </button>
  );
  return (
    <View
      title="Overview"
      lead="What the cache does now; figures of this page's last ten minutes."
      actions={button}
    >
      {error?.status === 403 ? <Problem error={error} /> : null}
      {error && error.status !== 403 ? (
        <Notice kind="warn">Not connected, trying again: {error.message}</Notice>
      ) : null}
      {now ? <Figures samples={samples} now={now} /> : <p class="wait">Waiting for the first figures…</p>}
    </View>
  );
}

function Figures({ samples, now }) {
  const first = samples[0];
  const total = shares(now.requests);
  const window = shares(now.requests, samples.length > 1 ? first.requests : undefined);
  const saved = now.tokens.saved + now.tokens.spent;
  return (
    <>
      <dl class="tiles">
        <Tile
          name="hit_rate"
          label="Hit rate"
          value={percent(total.hitRate)}
          note={
            `of ${plural(total.asked, "request")}; ` +
            `on this page ${percent(window.hitRate)} of ${count(window.asked)}`
          }
        />
        <Tile
          name="exact"
          label="Exact layer"
          value={percent(rate(now.layers.exact))}
          note={plural(now.layers.exact.hits, "hit")}
        />
        <Tile
          name="semantic"
          label="Semantic layer"
          value={percent(rate(now.layers.semantic))}
          note={plural(now.layers.semantic.hits, "hit")}
        />
        <Tile
          name="p95"
          label="Latency p95"
          value={ms(now.recent_ms.p95 || null)}
          note={`median ${ms(now.recent_ms.p50 || null)}`}
        />
        <Tile
          name="saved"
          label="Tokens saved"
          value={compact(now.tokens.saved)}
          note={`${compact(now.tokens.spent)} bought, ${percent(saved ? now.tokens.saved / saved : 0)} saved`}
        />
        {now.cost ? (
          <Tile
            name="money"
            label="Cost saved"
            value={money(now.cost.saved, now.cost.currency)}
            note={`${money(now.cost.spent, now.cost.currency)} spent`}
          />
        ) : null}
        <Tile
          name="entries"
          label="Entries"
          value={count(now.cache.entries)}
          note={`${bytes(now.cache.bytes)} of ${bytes(now.cache.bytes_max)}`}
        />
        <Tile
          name="memory"
          label="Memory"
          value={`${now.process.memory_percent.toFixed(0)} %`}
          note={`${bytes(now.process.resident_bytes)}, CPU ${now.process.cpu_percent.toFixed(0)} %`}
        />
        <Tile
          name="uptime"
          label="Up for"
          value={duration(now.uptime_seconds)}
          note={`${plural(now.server.connections, "connection")}`}
        />
      </dl>
      <div class="grid">
        <HitRates samples={samples} />
        <Throughput samples={samples} />
        <Latency now={now} />
        <Decisions now={now} />
        <Savings samples={samples} />
        <Feedback now={now} />
        {now.cost ? <Costs cost={now.cost} /> : null}
      </div>
    </>
  );
}

/** Between neighbouring samples: what `of(a, b)` says of each pair. */
function useSteps(samples, of) {
  return useMemo(() => samples.slice(1).map((one, at) => of(samples[at], one)), [samples]);
}
const useTimes = (samples) => useMemo(() => samples.slice(1).map((one) => one.at_ms / 1000), [samples]);
const clock = (seconds) => time(seconds * 1000).slice(11);

function HitRates({ samples }) {
  const x = useTimes(samples);
  const of = (layer) => (a, b) => rate(b.layers[layer], a.layers[layer]);
  const all = useSteps(samples, (a, b) => shares(b.requests, a.requests).hitRate);
  const exact = useSteps(samples, of("exact"));
  const semantic = useSteps(samples, of("semantic"));
  const series = useMemo(
    () => [
      { name: "all requests", colour: "series-1", values: all },
      { name: "exact", colour: "series-2", values: exact },
      { name: "semantic", colour: "series-3", values: semantic },
    ],
    [all, exact, semantic],
  );
  return (
    <Card title="Hit rate by layer">
      <Lines
        label="Hit rate by layer over time"
        x={x}
        series={series}
        range={[0, 1]}
        format={(value) => percent(value, 0)}
        xFormat={clock}
        xName="Time"
      />
    </Card>
  );
}

function Throughput({ samples }) {
  const x = useTimes(samples);
  const perSecond = (name) => (a, b) =>
    Math.max(0, b.requests[name] - a.requests[name]) / Math.max(0.001, (b.at_ms - a.at_ms) / 1000);
  const hits = useSteps(samples, perSecond("hit"));
  const misses = useSteps(samples, perSecond("miss"));
  const series = useMemo(
    () => [
      { name: "hits", colour: "series-1", values: hits },
      { name: "misses", colour: "series-4", values: misses },
    ],
    [hits, misses],
  );
  return (
    <Card title="Cache requests per second">
      <Lines
        label="Cache requests per second over time"
        x={x}
        series={series}
        range={(_, low, high) => [0, Math.max(1, high ?? 1)]}
        format={(value) => compact(value)}
        xFormat={clock}
        xName="Time"
      />
    </Card>
  );
}

function Latency({ now }) {
  const rows = distribution(now.latency).map((bin) => ({
    name: bin.name,
    value: bin.hits + bin.misses,
    text: `${plural(bin.hits, "hit")}, ${plural(bin.misses, "other")}`,
  }));
  return (
    <Card title="Latency distribution">
      {rows.length ? (
        <Bars label="Cache requests by latency since the start" rows={rows} />
      ) : (
        <p class="empty">No request yet.</p>
      )}
    </Card>
  );
}

function Guards({ guards }) {
  const rows = Object.entries(guards)
    .filter(([, value]) => value > 0)
    .sort((a, b) => b[1] - a[1])
    .map(([name, value]) => ({ name, value, text: count(value) }));
  if (rows.length === 0) return null;
  return (
    <>
      <h3>Refused by guard</h3>
      <Bars label="Semantic misses since the start, by the guard that refused" rows={rows} />
    </>
  );
}

function Decisions({ now }) {
  const total = Object.values(now.decisions).reduce((sum, one) => sum + one, 0);
  const rows = Object.entries(now.decisions)
    .filter(([, value]) => value > 0)
    .sort((a, b) => b[1] - a[1])
    .map(([name, value]) => ({
      name: REASONS[name] ?? name,
      value,
      text: `${count(value)} (${percent(value / total, 0)})`,
      kind: name === "hit" ? "good" : "",
    }));
  return (
    <Card title="Semantic decisions">
      {rows.length ? (
        <Bars label="Semantic decisions since the start, by reason" rows={rows} />
      ) : (
        <p class="empty">No decision yet.</p>
      )}
      <Guards guards={now.guards} />
    </Card>
  );
}

function Savings({ samples }) {
  const x = useTimes(samples);
  const start = useRef(samples[0]);
  const saved = useSteps(samples, (_, b) => b.tokens.saved - start.current.tokens.saved);
  const spent = useSteps(samples, (_, b) => b.tokens.spent - start.current.tokens.spent);
  const series = useMemo(
    () => [
      { name: "saved by hits", colour: "series-1", values: saved },
      { name: "bought upstream", colour: "series-4", values: spent },
    ],
    [saved, spent],
  );
  return (
    <Card title="Tokens since this page was opened">
      <Lines
        label="Tokens saved and bought since this page was opened"
        x={x}
        series={series}
        range={(_, low, high) => [0, Math.max(10, high ?? 10)]}
        format={(value) => compact(value)}
        xFormat={clock}
        xName="Time"
      />
    </Card>
  );
}

function Costs({ cost }) {
  const rows = cost.models
    .filter((model) => model.saved > 0 || model.spent > 0)
    .map((model) => ({
      name: model.model,
      value: model.saved,
      text: `${money(model.saved, cost.currency)} saved, ${money(model.spent, cost.currency)} spent`,
      kind: "good",
    }));
  return (
    <Card title="Cost by model">
      {rows.length ? (
        <Bars label="Cost saved since the start, by row of monitoring.prices" rows={rows} />
      ) : (
        <p class="empty">No priced token yet.</p>
      )}
    </Card>
  );
}

function Feedback({ now }) {
  const { confirmed, false_hit: wrong, lost_hit: lost } = now.feedback;
  const rows = [
    { name: "hits confirmed", value: confirmed, text: count(confirmed), kind: "good" },
    { name: "hits that were wrong", value: wrong, text: count(wrong), kind: "bad" },
    { name: "hits that were missed", value: lost, text: count(lost) },
  ];
  return (
    <Card title="Feedback">
      <Bars label="Feedback of callers since the start" rows={rows} />
      <p class="muted">
        Global tau {now.cache.global_tau.toFixed(4)}; evicted {count(now.cache.evictions_size)} for room,{" "}
        {count(now.cache.evictions_quota)} over a quota, {count(now.cache.evictions_expired)} expired.
      </p>
    </Card>
  );
}
