// One Chromium for a test file, pages that fail on what a reader would not see, and the checks that every
// view gets.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";

import { chromium } from "playwright-core";

export const setup = JSON.parse(process.env.EGPTC_CONSOLE);
const shots = process.env.EGPTC_CONSOLE_SHOTS;
const axePath = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
export const DESK = { width: 1280, height: 860 };
export const PHONE = { width: 360, height: 740 };

export async function startBrowser() {
  const browser = await chromium.launch({
    executablePath: process.env.EGPTC_CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--force-prefers-reduced-motion"],
  });
  return browser;
}

/**
 * A page of its own storage on `url`. `page.problems` collects errors, console messages and requests that
 * went anywhere else; `page.finish()` fails on them and closes it.
 */
export async function openPage(
  browser,
  url,
  { viewport = DESK, colorScheme = "light", expected = [] } = {},
) {
  const context = await browser.newContext({ viewport, colorScheme, bypassCSP: false, locale: "en-GB" });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  page.problems = [];
  const isExpected = (text) => expected.some((pattern) => pattern.test(text));
  const note = (text) => isExpected(text) || page.problems.push(text);
  page.on("pageerror", (error) => note(`error: ${error.message}`));
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && note(message.text()));
  page.underway = new Set();
  for (const event of ["requestfinished", "requestfailed"])
    page.on(event, (request) => page.underway.delete(request));
  page.on("request", (request) => {
    const target = request.url();
    if (!target.includes("/admin/events")) page.underway.add(request);
    if (!target.startsWith(url) && !target.startsWith("data:")) note(`request to ${target}`);
  });
  page.finish = async () => {
    await context.close();
    assert.deepEqual(page.problems, []);
  };
  await page.goto(`${url}/console`);
  return page;
}

export async function show(page, title) {
  const menu = page.getByRole("button", { name: "Views" });
  if (await menu.isVisible()) await menu.click();
  await page.getByRole("navigation").getByRole("link", { name: title, exact: true }).click();
  await page.getByRole("heading", { level: 1, name: title }).waitFor();
}

/** No answer is waited for (the stream of events never ends), and what came is drawn. */
export async function settled(page) {
  await eventually(
    () => page.underway.size,
    (count) => count === 0,
    "requests under way",
  );
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done))));
}

export const viewTitles = (page) => page.getByRole("navigation").locator("a").allTextContents();

/** Figure of a tile, as it stands there. */
export const tile = (page, name) => page.locator(`[data-tile=${name}] .figure`);

/** Waits until `read()` gives something `wanted` is true for. */
export async function eventually(read, wanted, what) {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const value = await read();
    if (wanted(value)) return value;
    if (Date.now() > deadline) assert.fail(`${what}: is ${JSON.stringify(value)}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** axe's rules for WCAG 2.2 A and AA and its best practices, without a violation. */
export async function checkAccess(page, what) {
  // The page's policy forbids injected scripts, so axe comes in through the debugger, as a tester's tool may.
  await page.evaluate(await axeSource());
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const told = found.violations.map(
    (one) => `${one.id}: ${one.nodes.map((node) => node.html).join(" | ")}`,
  );
  assert.deepEqual(told, [], what);
}

let source;
async function axeSource() {
  const { readFile } = await import("node:fs/promises");
  source ??= await readFile(axePath, "utf8");
  return source;
}

/** Nothing sticks out to the right: a phone need not scroll sideways. */
export async function checkWidth(page, what) {
  const [inner, whole] = await page.evaluate(() => [innerWidth, document.documentElement.scrollWidth]);
  assert.ok(whole <= inner, `${what}: ${whole} px wide on ${inner}`);
}

export async function shoot(page, name) {
  if (!shots) return;
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });
}

/** A call as a program makes it, past the page. */
export async function api(method, path, body, { url = setup.url, key } = {}) {
  const headers = {
    "Content-Type": "application/json",
    ...(key ? { Authorization: `Bearer ${key}` } : {}),
  };
  const response = await fetch(url + path, { method, headers, body: body && JSON.stringify(body) });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: () => JSON.parse(text) };
}

export async function store(query, response, more = {}, options = {}) {
  const made = await api("POST", "/cache/entries", { query, response, ...more }, options);
  assert.equal(made.status, 201, made.text);
  return made.json().ids[0];
}
