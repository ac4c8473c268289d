// Who uses the console and what the role may call. The server decides every call; this only hides what it
// would refuse.
import { get } from "./api.js";

/** null: security is on and nobody has signed in. */
export async function loadSession() {
  try {
    const [session, document] = await Promise.all([get("/console/session"), get("/openapi.json")]);
    return { ...session, paths: document.paths };
  } catch (error) {
    if (error.status === 401) return null;
    throw error;
  }
}

const covers = (row, method, path) =>
  (row.method === "*" || row.method === method) &&
  (row.path.endsWith("/*") ? path.startsWith(row.path.slice(0, -1)) : row.path === path);

/** May the caller call it, and does this server have it? `path` as in the API's description: /x/{id}. */
export function may(session, method, path) {
  const exists = session.paths[path]?.[method.toLowerCase()] !== undefined;
  const sample = path.replace("{id}", "0");
  return exists && session.allowed.some((row) => covers(row, method, sample));
}
