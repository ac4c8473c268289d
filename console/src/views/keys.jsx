import { useState } from "preact/hooks";
import { call, get, post } from "../api.js";
import { time } from "../format.js";
import {
  Ask,
  Badge,
  Card,
  Check,
  Copy,
  Field,
  Notice,
  Problem,
  Table,
  View,
  useAction,
  useLoad,
} from "../parts.jsx";

const ROLES = {
  viewer: "looks at metrics",
  client: "uses the cache",
  operator: "also manages entries of its tenant",
  admin: "also changes settings and keys",
};

const list = (value) =>
  value
    .split(",")
    .map((one) => one.trim())
    .filter(Boolean);

export function Keys({ session }) {
  const keys = useLoad((signal) => get("/admin/keys", { signal }));
  const [made, setMade] = useState(null);
  const [asked, setAsked] = useState(null);
  const done = (key) => {
    if (key?.key) setMade(key);
    setAsked(null);
    keys.reload();
  };
  const rows = (keys.data?.keys ?? []).map((key) => ({
    key: key.prefix,
    cells: [
      <>
        {key.name || "–"}
        <br />
        <code>{key.prefix}</code>
      </>,
      key.role,
      key.tenant,
      <Badge kind={key.state === "active" ? "good" : "bad"}>{key.state}</Badge>,
      time(key.created_ms),
      key.expires_ms ? time(key.expires_ms) : "never",
      key.state === "revoked" ? (
        ""
      ) : (
        <div class="actions">
          <button type="button" class="small" onClick={() => setAsked({ rotate: key })}>
            Rotate
          </button>
          <button type="button" class="small danger" onClick={() => setAsked({ revoke: key })}>
            Revoke
          </button>
        </div>
      ),
    ],
  }));
  return (
    <View title="Keys" lead="API keys of this installation. Their secrets are kept nowhere.">
      {session.security ? null : (
        <Notice kind="warn">
          security.enabled is false: nobody is asked for a key until the server runs with it.
        </Notice>
      )}
      {made ? <Secret made={made} onClose={() => setMade(null)} /> : null}
      <Create onDone={done} />
      <Problem error={keys.error} />
      <Card title="All keys" wide>
        <Table
          caption="API keys"
          columns={["Name", "Role", "Tenant", "State", "Made", "Expires", "Actions"]}
          rows={rows}
          empty={keys.loading ? "Loading…" : "There is no key."}
        />
      </Card>
      {asked?.rotate ? <Rotate of={asked.rotate} onDone={done} onClose={() => setAsked(null)} /> : null}
      {asked?.revoke ? <Revoke of={asked.revoke} onDone={done} onClose={() => setAsked(null)} /> : null}
    </View>
  );
}

function Secret({ made, onClose }) {
  return (
    <div class="notice good" role="status">
      <p>
        The key of {made.name || made.prefix}, shown this once: <code data-secret>{made.key}</code>{" "}
        <Copy text={made.key} />
      </p>
      <button type="button" class="small" onClick={onClose}>
        I have kept it
      </button>
    </div>
  );
}

function Create({ onDone }) {
  const empty = { name: "", role: "client", tenant: "", namespaces: "", days: "", trusted: false };
  const [form, setForm] = useState(empty);
  const create = useAction(async () => {
    const wish = { name: form.name, role: form.role };
    if (form.tenant) wish.tenant = form.tenant;
    if (form.namespaces) wish.namespaces = list(form.namespaces);
    if (form.trusted) wish.trusted = true;
    if (form.days !== "") {
      if (!(Number(form.days) > 0)) throw new Error(`Days: ${form.days} is no number of days`);
      wish.expires_in_seconds = Math.round(Number(form.days) * 86400);
    }
    const made = await post("/admin/keys", wish);
    setForm(empty);
    onDone(made);
  });
  const field = (name) => ({ value: form[name], onValue: (value) => setForm({ ...form, [name]: value }) });
  const submit = (event) => {
    event.preventDefault();
    create.run();
  };
  return (
    <Card title="New key" wide>
      <form onSubmit={submit}>
        <div class="row">
          <Field label="Name" required {...field("name")} />
          <Field label="Role" as="select" help={ROLES[form.role]} {...field("role")}>
            {Object.keys(ROLES).map((role) => (
              <option key={role} value={role}>
                {role}
              </option>
            ))}
          </Field>
          <Field label="Tenant" help="Empty: one of its own." {...field("tenant")} />
          <Field label="Namespaces" help="With commas; empty: any." {...field("namespaces")} />
          <Field
            label="Days until it expires"
            inputmode="numeric"
            help="Empty: never."
            {...field("days")}
          />
        </div>
        <Check
          label="Trusted: what it stores is shared at once"
          checked={form.trusted}
          onValue={(trusted) => setForm({ ...form, trusted })}
        />
        <Problem error={create.error} />
        <button type="submit" class="primary" disabled={create.busy}>
          Create
        </button>
      </form>
    </Card>
  );
}

function Rotate({ of, onDone, onClose }) {
  const [grace, setGrace] = useState("3600");
  const rotate = useAction(async () => {
    if (!/^\d+$/.test(grace)) throw new Error(`Grace: ${grace || "nothing"} is no number of seconds`);
    onDone(await post(`/admin/keys/${of.prefix}/rotate`, { grace_seconds: Number(grace) }));
  });
  return (
    <Ask
      title={`Rotate ${of.name || of.prefix}`}
      confirm="Rotate"
      busy={rotate.busy}
      error={rotate.error}
      onConfirm={() => rotate.run()}
      onClose={onClose}
    >
      <p>It gets a new secret. The old one goes on for a while.</p>
      <Field
        label="Seconds the old secret is still taken"
        inputmode="numeric"
        value={grace}
        onValue={setGrace}
      />
    </Ask>
  );
}

function Revoke({ of, onDone, onClose }) {
  const revoke = useAction(async () => onDone(await call("DELETE", `/admin/keys/${of.prefix}`)));
  return (
    <Ask
      title={`Revoke ${of.name || of.prefix}`}
      confirm="Revoke"
      danger
      busy={revoke.busy}
      error={revoke.error}
      onConfirm={() => revoke.run()}
      onClose={onClose}
    >
      <p>Every further request with it is refused. That cannot be undone.</p>
    </Ask>
  );
}
