import { useMemo, useState } from "preact/hooks";
import { get, queryOf } from "../api.js";
import { Lines } from "../chart.jsx";
import { count, fixed, plural, time } from "../format.js";
import { Card, Field, Notice, Problem, Table, Tile, View, useAction, useLoad } from "../parts.jsx";

export function Tau({ session }) {
  const load = useLoad((signal) => get("/admin/tau?limit=200", { signal }));
  const tau = load.data;
  return (
    <View
      title="Tau"
      lead="The similarity threshold each user has taught the cache, and the one new users start from."
      actions={
        <button type="button" onClick={load.reload}>
          Refresh
        </button>
      }
    >
      <Problem error={load.error} />
      {tau ? (
        <>
          {tau.enabled ? null : (
            <Notice kind="warn">federated.enabled is false: nothing is learned.</Notice>
          )}
          <Figures tau={tau} />
          <Lookup session={session} />
          <Rounds tau={tau} />
          <Users tau={tau} />
        </>
      ) : null}
    </View>
  );
}

function Figures({ tau }) {
  const { classes } = tau;
  return (
    <dl class="tiles">
      <Tile
        name="global_tau"
        label="Global tau"
        value={fixed(tau.global_tau, 4)}
        note={
          tau.is_learned
            ? `from ${count(tau.aggregations)} aggregations`
            : "initial_tau, nothing aggregated yet"
        }
      />
      <Tile
        name="users"
        label="Users with labels"
        value={count(tau.users)}
        note={plural(tau.updates, "label")}
      />
      <Tile
        name="below"
        label="More trusting"
        value={count(classes.below)}
        note={classes.below ? `mean ${fixed(classes.mean_below, 4)}` : "below initial_tau"}
      />
      <Tile
        name="above"
        label="Stricter"
        value={count(classes.above)}
        note={classes.above ? `mean ${fixed(classes.mean_above, 4)}` : "above initial_tau"}
      />
      <Tile
        name="limits"
        label="Limits"
        value={`${fixed(tau.tau_min, 2)} to ${fixed(tau.tau_max, 2)}`}
        note={`a label moves ${tau.learning_rate}; aggregated every ${count(tau.aggregation_frequency)}`}
      />
    </dl>
  );
}

function Lookup({ session }) {
  const [user, setUser] = useState("");
  const [tenant, setTenant] = useState("");
  const ask = useAction(() => get(`/admin/tau${queryOf({ limit: 1, user, tenant })}`));
  const submit = (event) => {
    event.preventDefault();
    ask.run();
  };
  return (
    <Card title="One user" wide>
      <form class="row" onSubmit={submit}>
        <Field
          label="User"
          value={user}
          onValue={setUser}
          required
          help="JWT subject, X-Cache-Subject, body user or key:id."
        />
        <Field
          label="Tenant"
          value={tenant}
          onValue={setTenant}
          help={
            session.security
              ? `Its name; empty is your own (${session.tenant}).`
              : "Empty: callers without a credential."
          }
        />
        <button type="submit">Show</button>
      </form>
      <Problem error={ask.error} />
      {ask.result?.asked ? (
        <Notice>
          Tau {fixed(ask.result.asked.tau, 4)} ({ask.result.asked.source}), kept as{" "}
          <code>{ask.result.asked.user}</code>.
        </Notice>
      ) : null}
    </Card>
  );
}

function Rounds({ tau }) {
  const x = useMemo(() => tau.rounds.map((round) => round.number), [tau]);
  const series = useMemo(
    () => [
      { name: "global tau", colour: "series-1", values: tau.rounds.map((round) => round.to) },
      {
        name: "what users say",
        colour: "series-4",
        dashed: true,
        values: tau.rounds.map((round) => round.combined),
      },
    ],
    [tau],
  );
  return (
    <Card title="Aggregations since the start" wide>
      {tau.rounds.length > 1 ? (
        <Lines
          label="Global tau by aggregation"
          x={x}
          series={series}
          isTime={false}
          xFormat={(value) => (Number.isInteger(value) ? count(value) : "")}
          range={(_, low, high) => [
            Math.min(low ?? 0.8, tau.initial_tau) - 0.01,
            Math.max(high ?? 0.9, tau.initial_tau) + 0.01,
          ]}
          format={(value) => fixed(value, 3)}
          xName="Aggregation"
        />
      ) : null}
      <Table
        caption="Aggregations, newest first"
        columns={[
          { name: "Number", number: true },
          "When",
          { name: "Users drawn", number: true },
          { name: "Before", number: true },
          { name: "Users say", number: true },
          { name: "After", number: true },
        ]}
        rows={[...tau.rounds]
          .reverse()
          .slice(0, 20)
          .map((round) => ({
            key: round.number,
            cells: [
              count(round.number),
              time(round.at_ms),
              count(round.users),
              fixed(round.from, 4),
              fixed(round.combined, 4),
              fixed(round.to, 4),
            ],
          }))}
        empty={`None yet: one comes every ${count(tau.aggregation_frequency)} labels.`}
      />
    </Card>
  );
}

function Users({ tau }) {
  return (
    <Card title="Users" wide>
      <Table
        caption="Users by their latest label, under pseudonyms"
        columns={[
          "Pseudonym",
          { name: "Tau", number: true },
          { name: "Labels", number: true },
          { name: "Latest label", number: true },
        ]}
        rows={tau.list.map((one) => ({
          key: one.user,
          cells: [
            <code>{one.user}</code>,
            fixed(one.tau, 4),
            count(one.samples),
            `${count(one.last_update)} of ${count(tau.updates)}`,
          ],
        }))}
        empty="No user has given a label yet."
      />
      <p class="muted">
        Names are kept as keyed hashes of tenant and user; “One user” finds the one of a name.
      </p>
    </Card>
  );
}
