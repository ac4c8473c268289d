import { useState } from "preact/hooks";
import { get } from "../api.js";
import { Badge, Card, Field, Problem, Table, View, useLoad } from "../parts.jsx";

export function Audit() {
  const [limit, setLimit] = useState("200");
  const [filter, setFilter] = useState("");
  const audit = useLoad((signal) => get(`/admin/audit?limit=${limit}`, { signal }), [limit]);
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const lines = (audit.data?.entries ?? [])
    .filter((line) => words.every((word) => JSON.stringify(line).toLowerCase().includes(word)))
    .reverse();
  const rows = lines.map((line) => ({
    key: line.seq,
    cells: [
      line.seq,
      line.time,
      line.event,
      <>
        {line.actor || "–"} <span class="muted">{line.role}</span>
      </>,
      line.address || "–",
      line.path ? `${line.method} ${line.path}` : "–",
      line.status ? <Badge kind={line.status < 400 ? "good" : "bad"}>{line.status}</Badge> : "–",
      line.detail,
    ],
  }));
  return (
    <View
      title="Audit"
      lead="Who changed what, and who was turned away. Each line carries the hash of the one before."
      actions={
        <button type="button" onClick={audit.reload}>
          Refresh
        </button>
      }
    >
      <div class="row">
        <Field label="Filter" type="search" value={filter} onValue={setFilter} />
        <Field label="Newest lines" as="select" value={limit} onValue={setLimit}>
          {["50", "200", "1000"].map((one) => (
            <option key={one} value={one}>
              {one}
            </option>
          ))}
        </Field>
      </div>
      <Problem error={audit.error} />
      <Card wide>
        <Table
          caption="Audit log, newest first"
          columns={[
            { name: "Line", number: true },
            { name: "Time", class: "whole" },
            "Event",
            "By",
            "From",
            "Call",
            "Status",
            "What",
          ]}
          rows={rows}
          empty={audit.loading ? "Loading…" : "No line matches."}
        />
        <p class="muted">
          <code>enhanced-gptcache audit</code> checks the chain of hashes from the first line to the last.
        </p>
      </Card>
    </View>
  );
}
