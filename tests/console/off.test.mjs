// The console of a server without security: every view, each against what the API says at the same time.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import {
  api,
  checkAccess,
  eventually,
  openPage,
  setup,
  shoot,
  show,
  startBrowser,
  store,
  tile,
  viewTitles,
} from "./browser.mjs";

const STORED = "How do I change the toner of the printer in room 4?";
const PARAPHRASE = "How can I change the toner of the printer in room 4?";
const OTHER = "How do I change the toner of the printer in room 5?";
const VIEWS = [
  "Overview",
  "Entries",
  "Playground",
  "Thresholds",
  "Tau",
  "Configuration",
  "Backups",
  "Health",
];

let browser;
let page;
before(async () => {
  browser = await startBrowser();
  await store(STORED, "Open the front cover and pull the blue lever.", { tags: ["office"] });
  page = await openPage(browser, setup.url, { expected: [/status of 400/] });
});
after(async () => {
  try {
    await page.finish();
  } finally {
    await browser.close();
  }
});

test("the files come with a strict policy, compressed, once", async () => {
  const answer = await fetch(`${setup.url}/console`);
  const policy = answer.headers.get("content-security-policy");
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe|https?:|\*/);
  assert.equal(answer.headers.get("x-frame-options"), "DENY");
  assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
  assert.equal(answer.headers.get("strict-transport-security"), null, "no TLS here");
  let bytes = 0;
  for (const name of ["", "/app.js", "/style.css", "/mark.svg"]) {
    const first = await fetch(`${setup.url}/console${name}`, { headers: { "Accept-Encoding": "gzip" } });
    assert.equal(first.headers.get("content-encoding"), "gzip", name);
    bytes += Number(first.headers.get("content-length"));
    const again = await fetch(first.url, { headers: { "If-None-Match": first.headers.get("etag") } });
    assert.equal(again.status, 304, name);
  }
  assert.ok(bytes < 300 * 1024, `${bytes} bytes`);
  assert.equal((await fetch(`${setup.url}/console/../secret`)).status, 404);
  assert.equal((await fetch(`${setup.url}/console/`)).url, `${setup.url}/console`);
});

test("every view that needs no keys is there, nobody signs in", async () => {
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  const titles = await viewTitles(page);
  for (const title of VIEWS) assert.ok(titles.includes(title), title);
  assert.equal(
    titles.includes("Erasure"),
    "/cache/erase" in (await api("GET", "/openapi.json")).json().paths,
  );
  await page.getByText("Security is off").waitFor();
});

test("the overview follows what happens", async () => {
  const shown = async (name) => Number((await tile(page, name).textContent()).replace(/\D/g, ""));
  await tile(page, "entries").waitFor();
  const entries = await shown("entries");
  const before_ = (await api("GET", "/admin/stats")).json().cache;
  assert.equal(entries, before_.entries);
  for (let at = 0; at < 3; at += 1) {
    const hit = await api("POST", "/cache/lookup", { query: STORED });
    assert.equal(hit.json().layer, "exact");
  }
  await store("Which room has the large printer?", "Room 9.");
  await eventually(
    () => shown("entries"),
    (value) => value === entries + 1,
    "entries in the tile",
  );
  const note = page.locator("[data-tile=exact] .note");
  const hits = `${before_.exact_hits + 3} hits`;
  await eventually(
    () => note.textContent(),
    (text) => text === hits,
    "exact hits in the tile",
  );
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByRole("button", { name: "Go on" }).click();
  await page.locator(".chart canvas").first().waitFor();
  await page.locator(".chart summary").first().click();
  await page.getByRole("table", { name: "Hit rate by layer over time" }).waitFor();
});

test("the overview tells what was saved and spent, by the prices given", async () => {
  const amount = async () => Number((await tile(page, "money").textContent()).replace(/[^0-9.]/g, ""));
  const spent = page.locator("[data-tile=money] .note");
  await tile(page, "money").waitFor();
  assert.equal(await amount(), 0);
  const body = {
    model: "stand-in-1",
    messages: [{ role: "user", content: "What does a window seat cost?" }],
  };
  const { usage } = (await api("POST", "/v1/chat/completions", body)).json();
  const cost = (usage.prompt_tokens * 1500 + usage.completion_tokens * 6000) / 1e6;
  assert.equal((await api("POST", "/v1/chat/completions", body)).status, 200);
  await eventually(amount, (value) => Math.abs(value - cost) < 0.006, "the cost of the hit in the tile");
  assert.match(await tile(page, "money").textContent(), /EUR/);
  assert.match(await spent.textContent(), /EUR spent/);
  await page.getByRole("heading", { name: "Cost by model" }).waitFor();
  await page.getByText("stand-in*").first().waitFor();
});

test("the playground misses, stores, hits by words and by meaning, and is refused by a guard", async () => {
  await show(page, "Playground");
  const ask = async (question) => {
    await page.getByLabel("Question").fill(question);
    await page.getByRole("button", { name: "Ask" }).click();
  };
  await ask("What is the speed of light in glass?");
  await page.getByText("Miss", { exact: true }).waitFor();
  await page.getByText("Store an answer to this question").click();
  await page.getByLabel("Answer", { exact: true }).fill("About two thirds of that in vacuum.");
  await page.getByRole("button", { name: "Store", exact: true }).click();
  await page.getByText(/Ask again to see it found/).waitFor();
  await ask("What is the speed of light in glass?");
  await page.getByText("exact layer: the same request").waitFor();
  await page.getByText("About two thirds").waitFor();

  await ask(PARAPHRASE);
  await page.getByText("semantic layer: the same meaning").waitFor();
  const row = page
    .getByRole("table", { name: /^Candidates/ })
    .getByRole("row")
    .nth(1);
  assert.match(await row.textContent(), /served/);
  const said = (await api("POST", "/cache/explain", { query: PARAPHRASE })).json().candidates[0];
  assert.ok((await row.textContent()).includes(said.similarity.toFixed(3)));
  await shoot(page, "playground");
  await checkAccess(page, "playground with a hit");

  await ask(OTHER);
  await page
    .getByText(/the guard “\w+” refused/)
    .first()
    .waitFor();
});

test("the playground tells what is wrong with what was typed", async () => {
  await page.getByText("Context, namespace, model, threshold").click();
  await page.getByLabel("Threshold").fill("7");
  await page.getByRole("button", { name: "Ask" }).click();
  await page.getByText(/threshold: .*7.*0.*1/).waitFor();
  assert.equal(await page.getByLabel("Threshold").getAttribute("aria-invalid"), "true");
  await page.getByLabel("Threshold").fill("x");
  await page.getByRole("button", { name: "Ask" }).click();
  await page.getByText("Threshold: x is no number").waitFor();
  await page.getByLabel("Threshold").fill("");
  await page.getByLabel("Conversation before it").fill("no role here");
  await page.getByRole("button", { name: "Ask" }).click();
  await page.getByText(/the first line must begin with one of/).waitFor();
  await page.getByLabel("Conversation before it").fill("user: hello\nassistant: hello,\nhow can I help?");
  const [request] = await Promise.all([
    page.waitForRequest(/cache\/lookup/),
    page.getByRole("button", { name: "Ask" }).click(),
  ]);
  assert.deepEqual(request.postDataJSON().context, [
    { role: "user", content: "hello" },
    { role: "assistant", content: "hello,\nhow can I help?" },
  ]);
});

test("feedback in the playground reaches thresholds and tau", async () => {
  await show(page, "Tau");
  const labels = () => page.locator("[data-tile=users] .note").textContent();
  await tile(page, "users").waitFor();
  const updates = parseInt(await labels(), 10);
  await show(page, "Playground");
  await page.getByLabel("Question").fill(PARAPHRASE);
  await page.getByRole("button", { name: "Ask" }).click();
  await page.getByRole("button", { name: "The answer is right" }).click();
  await page.getByText(/Confirmed\. Tau of this user is now 0\.84/).waitFor();
  await show(page, "Tau");
  await eventually(labels, (text) => parseInt(text, 10) === updates + 1, "labels");
  const listed = (await api("GET", "/admin/tau")).json();
  await page.getByRole("cell", { name: listed.list[0].user }).waitFor();

  await show(page, "Thresholds");
  const says = page.locator("#probability-says");
  await eventually(
    () => says.textContent(),
    (text) => text.startsWith("Of 1 judged decision,"),
    "labels",
  );
  const slider = page.getByRole("slider");
  await slider.focus();
  await slider.press("Home");
  await eventually(
    () => says.textContent(),
    (text) => /1 would have been served, 0 wrongly/.test(text),
    "at 50 %",
  );
  await shoot(page, "thresholds");
});

test("entries are found, explained, judged and deleted", async () => {
  const id = await store(
    "Where is the <b>fire</b> extinguisher?",
    "<img src=x onerror=document.title='hacked'>",
    { tags: ["safety"], namespace: "house" },
  );
  await show(page, "Entries");
  await page.getByLabel("Tag").fill("safety");
  await page.getByRole("button", { name: "Search" }).click();
  await eventually(
    () => page.getByRole("table", { name: "Entries" }).getByRole("row").count(),
    (rows) => rows === 2,
    "rows",
  );
  await page.getByRole("link", { name: "Where is the <b>fire</b> extinguisher?" }).click();
  await page.getByText("<img src=x onerror=document.title='hacked'>").waitFor();
  assert.match(await page.title(), /^Entries/);
  await page.getByRole("button", { name: "Explain" }).click();
  await page.getByText("exact layer: the same request").waitFor();
  await checkAccess(page, "an entry, explained");
  await shoot(page, "entries");
  await page.getByRole("button", { name: "Right", exact: true }).click();
  await page.getByText(/Noted\. Tau is now/).waitFor();
  await page.getByRole("button", { name: "Delete" }).click();
  const dialog = page.getByRole("dialog", { name: "Delete this entry" });
  await checkAccess(page, "a question");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.equal((await api("GET", `/cache/entries/${id}`)).status, 200, "nothing happened yet");
  await page.getByRole("button", { name: "Delete" }).click();
  await dialog.getByRole("button", { name: "Delete" }).click();
  await dialog.waitFor({ state: "detached" });
  assert.equal((await api("GET", `/cache/entries/${id}`)).status, 404);
});

test("a long list is read page by page", async () => {
  const entries = Array.from({ length: 60 }, (_, at) => ({
    query: `Which shelf holds part number ${at}?`,
    response: `Shelf ${at}.`,
    tags: ["parts"],
  }));
  assert.equal((await api("POST", "/cache/entries", { entries })).status, 201);
  await show(page, "Entries");
  await page.getByLabel("Tag").fill("parts");
  await page.getByRole("button", { name: "Search" }).click();
  const rows = page.getByRole("table", { name: "Entries" }).locator("tbody tr");
  await eventually(
    () => rows.count(),
    (count) => count === 50,
    "the first page",
  );
  await page.getByRole("button", { name: "More" }).click();
  await eventually(
    () => rows.count(),
    (count) => count === 60,
    "all pages",
  );
  assert.equal(await page.getByRole("button", { name: "More" }).count(), 0);
});

test("what matches is counted before it is removed", async () => {
  for (const floor of [1, 2, 3])
    await store(`What is on floor number ${floor}?`, "Desks.", { tags: ["floors"] });
  await show(page, "Entries");
  await page.getByLabel("Tag").fill("floors");
  await page.getByRole("button", { name: "Search" }).click();
  await page.getByRole("button", { name: "Remove all that match" }).click();
  await page.getByRole("button", { name: "Remove 3" }).click();
  await page.getByText("No entry matches.").waitFor();
  assert.deepEqual((await api("GET", "/cache/entries?tag=floors")).json().entries, []);
});

test("a setting changed by the API is seen, and one changed here is in force", async () => {
  await show(page, "Configuration");
  await page.getByLabel("Filter").fill("ttl_seconds");
  const row = page.locator("[data-setting='cache.ttl_seconds']");
  assert.equal(await row.locator(".value").textContent(), "0");
  const put = await api("PUT", "/admin/config", { "cache.ttl_seconds": 1234 });
  assert.equal(put.status, 200, put.text);
  await page.getByRole("button", { name: "Reload the file" }).click();
  await eventually(
    () => row.locator(".value").textContent(),
    (text) => text === "1234",
    "the changed value",
  );
  await row.getByText("admin").waitFor();

  await page.getByRole("button", { name: "Change cache.ttl_seconds" }).click();
  const input = page.getByRole("textbox", { name: "cache.ttl_seconds" });
  await input.fill("-5");
  await page.getByRole("button", { name: "Check only" }).click();
  await page
    .getByRole("alert")
    .getByText(/cache\.ttl_seconds.*-5/)
    .waitFor();
  await input.fill("soon");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("soon is no number").waitFor();
  await input.fill("77");
  await page.getByRole("button", { name: "Check only" }).click();
  await page.getByText("It would change cache.ttl_seconds").waitFor();
  const now = async () => (await api("GET", "/admin/config")).json().sections.cache.ttl_seconds.value;
  assert.equal(await now(), 1234, "a check changes nothing");
  await shoot(page, "configuration");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Changed: cache.ttl_seconds.").waitFor();
  assert.equal(await now(), 77);
  await page.getByRole("button", { name: "Close" }).click();
  await eventually(
    () => row.locator(".value").textContent(),
    (text) => text === "77",
    "the value in the list",
  );
  await page.getByRole("button", { name: "Reset changes" }).click();
  await page.getByRole("button", { name: "Reset", exact: true }).click();
  await eventually(now, (value) => value === 0, "the default again");
});

test("backups are made, listed and dropped", async () => {
  await show(page, "Backups");
  await page.getByRole("button", { name: "Make a copy" }).click();
  await page.getByText(/Copied to/).waitFor();
  const [copy] = (await api("GET", "/admin/backup")).json().copies;
  await page.getByRole("cell", { name: copy.name, exact: true }).waitFor();
  await page.getByRole("button", { name: `Drop ${copy.name}` }).click();
  await page.getByText("None.").waitFor();
  assert.deepEqual((await api("GET", "/admin/backup")).json().copies, []);
});

test("health shows each check, and a refused settings file", async () => {
  await show(page, "Health");
  const report = (await api("GET", "/health")).json();
  const table = page.getByRole("table", { name: "Components" });
  for (const [name, one] of Object.entries(report.checks.components)) {
    const row = table.getByRole("row").filter({ has: page.getByRole("cell", { name, exact: true }) });
    assert.ok((await row.textContent()).includes(one.status), name);
  }
});

test("erasure shows where the server has it, and gives the receipt", async () => {
  const other = await openPage(browser, setup.url);
  const isReal = "/cache/erase" in (await api("GET", "/openapi.json")).json().paths;
  if (!isReal) await fakeErasure(other);
  const id = await store("What did Mia order?", "A chair.", { subject: "mia" });
  await other.reload();
  await show(other, "Erasure");
  await other.getByLabel("Subject").fill("mia");
  await other.getByRole("button", { name: "Erase…" }).click();
  await other.getByText(/1 entry of mia/).waitFor();
  const [request] = await Promise.all([
    other.waitForRequest(/cache\/erase/),
    other.getByRole("button", { name: "Erase", exact: true }).click(),
  ]);
  assert.deepEqual(request.postDataJSON(), { subject: "mia" });
  const receipt = JSON.parse(await other.locator("pre[aria-label=Receipt]").textContent());
  assert.ok(receipt.receipt && receipt.signature, JSON.stringify(receipt));
  if (isReal) assert.equal((await api("GET", `/cache/entries/${id}`)).status, 404);
  await checkAccess(other, "a receipt");
  await other.finish();
});

/** For builds without the endpoint: the view goes by the server's description, so that is given as well. */
async function fakeErasure(other) {
  await other.route("**/openapi.json", async (route) => {
    const document = await (await route.fetch()).json();
    document.paths["/cache/erase"] = { post: {} };
    await route.fulfill({ json: document });
  });
  await other.route("**/cache/erase", (route) =>
    route.fulfill({ json: { receipt: { erased: 1 }, public_key: "k", signature: "s" } }),
  );
}
