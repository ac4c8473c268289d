import { useEffect } from "preact/hooks";
import { get } from "../api.js";
import { ms, percent, time } from "../format.js";
import { Badge, Card, Problem, Table, View, useLoad } from "../parts.jsx";

const EVERY_MS = 10_000;
const KINDS = { healthy: "good", warning: "warn", unhealthy: "bad" };

const Status = ({ of }) => <Badge kind={KINDS[of]}>{of}</Badge>;

export function Health() {
  // 503 with a report is an answer, too.
  const health = useLoad((signal) => get("/health", { signal, accepted: [503] }));
  useEffect(() => {
    const timer = setInterval(health.reload, EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  const report = health.data;
  return (
    <View
      title="Health"
      lead="What /health says; asked again every ten seconds."
      actions={
        <button type="button" onClick={health.reload}>
          Refresh
        </button>
      }
    >
      <Problem error={health.error} />
      {report ? (
        <>
          <p class="verdict" role="status">
            <Status of={report.overall_status} /> {time(1000 * report.timestamp)}
          </p>
          <Checks checks={report.checks} />
          <Components components={report.checks.components} />
          {report.budget ? <Budget budget={report.budget} /> : null}
        </>
      ) : null}
    </View>
  );
}

function Checks({ checks }) {
  const { cache_functionality: probe, memory_usage: memory, configuration } = checks;
  const rows = [
    [
      "Cache",
      <Status of={probe.status} />,
      probe.error ?? `answered in ${ms(probe.response_time_ms)}, limit ${ms(probe.threshold_ms)}`,
    ],
    [
      "Memory",
      <Status of={memory.status} />,
      `${percent(memory.usage_percent / 100)} of the limit (warning from ` +
        `${percent(memory.threshold_warning / 100, 0)}, ` +
        `critical from ${percent(memory.threshold_critical / 100, 0)})`,
    ],
    [
      "Configuration",
      <Status of={configuration.status} />,
      configuration.error ?? (configuration.valid ? "valid" : "invalid"),
    ],
  ];
  return (
    <Card title="Checks" wide>
      <Table caption="Checks" columns={["Check", "Status", "What it found"]} rows={rows} />
    </Card>
  );
}

function Components({ components }) {
  const rows = Object.entries(components)
    .filter(([, one]) => typeof one === "object")
    .map(([name, one]) => ({
      key: name,
      cells: [name, <Status of={one.status} />, one.enabled ? (one.detail ?? "") : "switched off"],
    }));
  return (
    <Card title="Components" wide>
      <Table caption="Components" columns={["Component", "Status", "Says"]} rows={rows} />
    </Card>
  );
}

function Budget({ budget }) {
  return (
    <Card title="Threads and memory" wide>
      <dl class="facts">
        {Object.entries(budget).map(([name, value]) => (
          <div key={name}>
            <dt>{name.replaceAll("_", " ")}</dt>
            <dd>{String(value)}</dd>
          </div>
        ))}
      </dl>
    </Card>
  );
}
