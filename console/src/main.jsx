// The shell: who is signed in, which view is shown, and the way between them.
import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { hasCredential, onRefused, keepCredential } from "./api.js";
import { Problem } from "./parts.jsx";
import { loadSession, may } from "./session.js";
import { THEMES, theme, setTheme } from "./theme.js";
import { Audit } from "./views/audit.jsx";
import { Backups } from "./views/backups.jsx";
import { Configuration } from "./views/configuration.jsx";
import { Entries } from "./views/entries.jsx";
import { Erasure } from "./views/erasure.jsx";
import { Health } from "./views/health.jsx";
import { Keys } from "./views/keys.jsx";
import { Overview } from "./views/overview.jsx";
import { Playground } from "./views/playground.jsx";
import { SignIn } from "./views/sign_in.jsx";
import { Tau } from "./views/tau.jsx";
import { Thresholds } from "./views/thresholds.jsx";

/** A view is shown to those who may make the call it lives on, where the server has it. */
const VIEWS = [
  { name: "overview", title: "Overview", view: Overview, needs: ["GET", "/admin/events"] },
  { name: "entries", title: "Entries", view: Entries, needs: ["GET", "/cache/entries/{id}"] },
  { name: "playground", title: "Playground", view: Playground, needs: ["POST", "/cache/lookup"] },
  { name: "thresholds", title: "Thresholds", view: Thresholds, needs: ["GET", "/admin/stats"] },
  { name: "tau", title: "Tau", view: Tau, needs: ["GET", "/admin/tau"] },
  { name: "configuration", title: "Configuration", view: Configuration, needs: ["GET", "/admin/config"] },
  { name: "keys", title: "Keys", view: Keys, needs: ["GET", "/admin/keys"] },
  { name: "audit", title: "Audit", view: Audit, needs: ["GET", "/admin/audit"] },
  { name: "backups", title: "Backups", view: Backups, needs: ["POST", "/admin/backup"] },
  { name: "erasure", title: "Erasure", view: Erasure, needs: ["POST", "/cache/erase"] },
  { name: "health", title: "Health", view: Health, needs: ["GET", "/health"] },
];

/** "#/entries?id=7" to {name, query}. */
function placeOf(hash) {
  const [name, query = ""] = hash.replace(/^#\/?/, "").split("?");
  return { name, query: new URLSearchParams(query) };
}

function usePlace() {
  const [place, setPlace] = useState(placeOf(location.hash));
  useEffect(() => {
    const moved = () => {
      document.body.dataset.navigated = "yes";
      setPlace(placeOf(location.hash));
    };
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return place;
}

function ThemeButton() {
  const [name, setName] = useState(theme());
  const next = () => {
    const chosen = THEMES[(THEMES.indexOf(name) + 1) % THEMES.length];
    setTheme(chosen);
    setName(chosen);
  };
  return (
    <button type="button" class="small theme" onClick={next} aria-label={`Colours: ${name}. Change`}>
      {{ auto: "◐", light: "☀", dark: "☾" }[name]}
      <span class="word"> {{ auto: "Auto", light: "Light", dark: "Dark" }[name]}</span>
    </button>
  );
}

function Navigation({ views, current }) {
  const [open, setOpen] = useState(false);
  return (
    <nav aria-label="Views">
      <button
        type="button"
        class="menu"
        aria-expanded={open}
        aria-controls="views"
        onClick={() => setOpen(!open)}
      >
        ☰ Views
      </button>
      <ul id="views" class={open ? "open" : ""}>
        {views.map((view) => (
          <li key={view.name}>
            <a
              href={`#/${view.name}`}
              onClick={() => setOpen(false)}
              aria-current={view.name === current ? "page" : undefined}
            >
              {view.title}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function Who({ session, onSignOut }) {
  if (!session.security) return <span class="who">Security is off</span>;
  return (
    <span class="who">
      <span data-who title={session.id}>
        {session.role} <span class="muted">{session.id}</span>
      </span>
      <button type="button" class="small" onClick={onSignOut}>
        {/* Without a key it is the browser's certificate that speaks, and nothing here ends that. */}
        {hasCredential() ? "Sign out" : "Use a key"}
      </button>
    </span>
  );
}

function Shell({ session, onSignOut }) {
  const place = usePlace();
  const main = useRef();
  const views = VIEWS.filter((view) => may(session, ...view.needs));
  const shown = views.find((view) => view.name === place.name) ?? views[0];
  const Shown = shown.view;
  const skip = (event) => {
    event.preventDefault();
    main.current.focus();
  };
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the view
      </a>
      <header>
        <span class="brand">
          <img src="console/mark.svg" alt="" width="26" height="26" />
          Enhanced GPTCache <span class="muted">{session.version}</span>
        </span>
        <Navigation views={views} current={shown.name} />
        <span class="tools">
          <ThemeButton />
          <Who session={session} onSignOut={onSignOut} />
        </span>
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        <Shown
          key={shown.name}
          session={session}
          query={place.query}
          can={(...asked) => may(session, ...asked)}
        />
      </main>
    </>
  );
}

function App() {
  const [state, setState] = useState({ loading: true });
  const load = async (why) => {
    try {
      setState({ session: await loadSession(), why });
    } catch (error) {
      setState({ error });
    }
  };
  const signOut = (why) => {
    keepCredential("");
    setState({ session: null, why });
  };
  // With security off there is no signing in: a refused credential is the view's to tell.
  const secured = useRef(false);
  secured.current = state.session?.security ?? secured.current;
  useEffect(() => {
    load();
    return onRefused((message) => secured.current && hasCredential() && signOut(message));
  }, []);

  if (state.loading)
    return (
      <p class="wait" role="status">
        Loading…
      </p>
    );
  if (state.error) {
    return (
      <main class="alone">
        <h1>The console cannot start</h1>
        <Problem error={state.error} />
        <button type="button" onClick={() => load()}>
          Try again
        </button>
      </main>
    );
  }
  if (state.session === null)
    return <SignIn why={state.why} tools={<ThemeButton />} onSignedIn={() => load()} />;
  return <Shell session={state.session} onSignOut={() => signOut()} />;
}

render(<App />, document.getElementById("app"));
