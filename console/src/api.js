// Calls to the server that serves this page: the endpoints everybody else uses, with the credential of
// whoever signed in. Addresses are relative to the page, so that it works below a proxy's prefix, too.

const KEPT = "egptc-credential";
let credential = sessionStorage.getItem(KEPT) ?? "";
const refusedListeners = new Set();

export const hasCredential = () => credential !== "";

/** Kept in memory; with `inTab` also in the tab's session storage, until it is closed. */
export function keepCredential(value, inTab = false) {
  credential = value.trim();
  if (credential && inTab) sessionStorage.setItem(KEPT, credential);
  else sessionStorage.removeItem(KEPT);
}

/** Called when the server says that the credential is none, or none any more. */
export function onRefused(listener) {
  refusedListeners.add(listener);
  return () => refusedListeners.delete(listener);
}

export class ApiError extends Error {
  constructor(status, message, param) {
    super(message);
    this.status = status;
    this.param = param;
  }
}

/** Every API of ours is one level below the page. */
const urlOf = (path) => path.replace(/^\//, "");

function headersOf(body) {
  const headers = { Accept: "application/json" };
  if (credential) headers.Authorization = `Bearer ${credential}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  return headers;
}

async function send(method, path, body, signal) {
  try {
    return await fetch(urlOf(path), {
      method,
      headers: headersOf(body),
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "the server cannot be reached");
  }
}

async function errorOf(response) {
  let message = `the server answered ${response.status}`;
  let param;
  try {
    const { error } = await response.json();
    if (error?.message) ({ message, param } = error);
  } catch {
    // No JSON: a proxy in between answered. The status has to do.
  }
  if (response.status === 401) refusedListeners.forEach((listener) => listener(message));
  return new ApiError(response.status, message, param);
}

/** The JSON of the answer. Throws ApiError; `accepted` lists other statuses whose body is an answer, too. */
export async function call(method, path, body, { accepted = [], signal } = {}) {
  const response = await send(method, path, body, signal);
  if (!response.ok && !accepted.includes(response.status)) throw await errorOf(response);
  return response.json();
}
export const get = (path, options) => call("GET", path, undefined, options);
export const post = (path, body = {}, options) => call("POST", path, body, options);

/** "?a=1&b=2" of what is set. */
export function queryOf(values) {
  const set = Object.entries(values).filter(
    ([, value]) => value !== "" && value !== undefined && value !== null,
  );
  return set.length ? `?${new URLSearchParams(set)}` : "";
}

/**
 * Server-sent events (EventSource cannot send an Authorization header). Calls `onEvent(name, data)` until the
 * signal aborts or the stream ends.
 */
export async function readEvents(path, signal, onEvent) {
  const response = await send("GET", path, undefined, signal);
  if (!response.ok) throw await errorOf(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => splitField(line)));
      if (fields.event) onEvent(fields.event, JSON.parse(fields.data));
    }
  }
}

function splitField(line) {
  const colon = line.indexOf(":");
  return colon < 0 ? [line, ""] : [line.slice(0, colon), line.slice(colon + 1).trimStart()];
}
