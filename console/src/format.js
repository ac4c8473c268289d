// Figures for people.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const small = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });

export const count = (value) => (value == null ? "–" : whole.format(value));
/** "1 label", "2 labels". */
export const plural = (value, word) => `${whole.format(value)} ${word}${value === 1 ? "" : "s"}`;
export const compact = (value) =>
  value == null ? "–" : (Math.abs(value) < 1 ? small : short).format(value);
export const percent = (share, digits = 1) =>
  share == null || Number.isNaN(share) ? "–" : `${(100 * share).toFixed(digits)}\u00a0%`;
export const fixed = (value, digits = 3) => (value == null ? "–" : Number(value).toFixed(digits));

/** An amount in the operator's own currency word, small ones with enough digits to be seen. */
export function money(value, currency) {
  if (value == null) return "–";
  const digits = value === 0 || value >= 1 ? 2 : value >= 0.01 ? 3 : 6;
  const form = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: digits });
  return `${form.format(value)} ${currency}`;
}

export function ms(value) {
  if (value == null) return "–";
  if (value >= 1000) return `${(value / 1000).toFixed(2)} s`;
  return `${value.toFixed(value < 10 ? 2 : 0)} ms`;
}

export function bytes(value) {
  if (value == null) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  for (; value >= 1024 && at < units.length - 1; at += 1) value /= 1024;
  return `${value.toFixed(at && value < 100 ? 1 : 0)} ${units[at]}`;
}

export function duration(seconds) {
  if (seconds == null) return "–";
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

/** Local date and time to the second. */
export function time(atMs) {
  if (!atMs) return "–";
  const at = new Date(atMs);
  const two = (number) => String(number).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

export const cut = (text, length = 120) => (text.length > length ? `${text.slice(0, length)}…` : text);

/** Wilson's 95 % interval of a share (E. B. Wilson, 1927). */
export function wilson(hits, total) {
  if (total === 0) return [0, 1];
  const z = 1.96;
  const share = hits / total;
  const middle = (share + (z * z) / (2 * total)) / (1 + (z * z) / total);
  const half =
    (z / (1 + (z * z) / total)) * Math.sqrt((share * (1 - share)) / total + (z * z) / (4 * total * total));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}
