import { call, get, post } from "../api.js";
import { duration, time } from "../format.js";
import { Card, Notice, Problem, Table, View, useAction, useLoad } from "../parts.jsx";

export function Backups() {
  const copies = useLoad((signal) => get("/admin/backup", { signal }));
  const make = useAction(async () => {
    const made = await post("/admin/backup");
    copies.reload();
    return made;
  });
  const drop = useAction(async (name) => {
    await call("DELETE", `/admin/backup/${name}`);
    make.clear();
    copies.reload();
  });
  const rows = (copies.data?.copies ?? []).map((copy) => ({
    key: copy.name,
    cells: [
      <code>{copy.name}</code>,
      time(copy.made_ms),
      <code>{copy.path}</code>,
      <button
        type="button"
        class="small danger"
        aria-label={`Drop ${copy.name}`}
        onClick={() => drop.run(copy.name)}
      >
        Drop
      </button>,
    ],
  }));
  return (
    <View
      title="Backups"
      lead="A consistent copy of the entries, made while serving."
      actions={
        <button type="button" class="primary" onClick={() => make.run()} disabled={make.busy}>
          Make a copy
        </button>
      }
    >
      <Problem error={make.error ?? drop.error ?? copies.error} />
      {make.result ? (
        <Notice>
          Copied to <code>{make.result.path}</code>.
        </Notice>
      ) : null}
      <Card title="Copies that wait to be taken away" wide>
        <Table
          caption="Copies"
          columns={["Name", "Made", "Folder", "Actions"]}
          rows={rows}
          empty={copies.loading ? "Loading…" : "None."}
        />
        <p class="muted">
          A copy is made of links, so it costs hardly any room at first. It is removed after{" "}
          {duration(copies.data?.age_max_seconds)}; at most {copies.data?.copies_max} are kept at a time.{" "}
          <code>enhanced-gptcache backup</code> makes one, packs it with settings and keys into a checked
          archive, and removes it.
        </p>
      </Card>
    </View>
  );
}
