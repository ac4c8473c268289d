// Light, dark, or what the system says.

const KEPT = "egptc-theme";
export const THEMES = ["auto", "light", "dark"];
const listeners = new Set();

export function theme() {
  const kept = localStorage.getItem(KEPT);
  return THEMES.includes(kept) ? kept : "auto";
}

export function setTheme(name) {
  localStorage.setItem(KEPT, name);
  apply();
}

export function onTheme(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function apply() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const name = theme() === "auto" ? (dark ? "dark" : "light") : theme();
  document.documentElement.dataset.theme = name;
  listeners.forEach((listener) => listener());
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
apply();
