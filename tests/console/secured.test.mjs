// The console of a server with keys: who signs in, and who sees what.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import {
  PHONE,
  api,
  checkAccess,
  checkWidth,
  eventually,
  openPage,
  settled,
  setup,
  shoot,
  show,
  startBrowser,
  store,
  tile,
  viewTitles,
} from "./browser.mjs";

const { keys, secured: url, token } = setup;
const REFUSED = [/status of 40[013]/];
const SEEN = {
  viewer: ["Overview", "Thresholds", "Health"],
  client: ["Entries", "Playground", "Health"],
  operator: ["Overview", "Entries", "Playground", "Thresholds", "Tau", "Configuration", "Health"],
  admin: [
    "Overview",
    "Entries",
    "Playground",
    "Thresholds",
    "Tau",
    "Configuration",
    "Keys",
    "Audit",
    "Backups",
    "Health",
  ],
};

let browser;
before(async () => {
  browser = await startBrowser();
});
after(() => browser.close());

async function signIn(page, credential, { inTab = false } = {}) {
  await page.getByLabel("API key or token").fill(credential);
  if (inTab) await page.getByLabel(/Stay signed in/).check();
  await page.getByRole("button", { name: "Sign in" }).click();
}

const admin = (method, path, body) => api(method, path, body, { url, key: keys.admin });

for (const [role, titles] of Object.entries(SEEN)) {
  test(`a ${role} sees its views`, async () => {
    const page = await openPage(browser, url, { expected: REFUSED });
    await signIn(page, keys[role]);
    await page.locator("[data-who]").getByText(role).waitFor();
    const seen = (await viewTitles(page)).filter((title) => title !== "Erasure");
    assert.deepEqual(seen, titles);
    for (const title of titles) {
      await show(page, title);
      await settled(page);
      assert.equal(
        await page.getByRole("alert").count(),
        0,
        `${title}: ${await page.locator("main").textContent()}`,
      );
    }
    // An address of a view that the role has not leads to the first it has.
    await page.goto(`${url}/console#/keys`);
    await page.getByRole("heading", { level: 1, name: role === "admin" ? "Keys" : titles[0] }).waitFor();
    await page.finish();
  });
}

test("a stranger is shown the way in and nothing else", async () => {
  const page = await openPage(browser, url, { expected: REFUSED });
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await checkAccess(page, "signing in");
  await shoot(page, "sign-in");
  for (const [credential, problem] of [
    ["", /Enter an API key/],
    ["egptc_000000000000_" + "0".repeat(64), /unknown, expired or revoked/],
    ["two words", /no spaces/],
    ["eyJhbGciOiJub25lIn0.e30.", /token/],
  ]) {
    await signIn(page, credential);
    await page.getByRole("alert").getByText(problem).waitFor();
  }
  assert.equal(await page.getByRole("navigation").count(), 0);
  await page.finish();
});

test("a key is kept for as long as its owner said", async () => {
  const page = await openPage(browser, url, { expected: REFUSED });
  await signIn(page, keys.viewer);
  await tile(page, "entries").waitFor();
  const kept = () =>
    page.evaluate(() => JSON.stringify([{ ...sessionStorage }, { ...localStorage }, document.cookie]));
  assert.ok(!(await kept()).includes("egptc_"), "in memory only");
  await page.reload();
  await signIn(page, keys.viewer, { inTab: true });
  await tile(page, "entries").waitFor();
  await page.reload();
  await tile(page, "entries").waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  assert.ok(!(await kept()).includes("egptc_"), "gone");
  await page.finish();
});

test("a token signs in by its role", async () => {
  const page = await openPage(browser, url, { expected: REFUSED });
  await signIn(page, token);
  await page.locator("[data-who]").getByText("operator").waitFor();
  await page.locator('[data-who][title="jwt:olga"]').waitFor();  // beside the role where there is room
  await store("Which gate is open on Sundays?", "The west gate.", {}, { url, key: token });
  await show(page, "Entries");
  await page.getByRole("link", { name: "Which gate is open on Sundays?" }).waitFor();
  await page.finish();
});

test("whose certificate has a role is in without a key", async () => {
  const { url: origin, cert, key } = setup.certified;
  const clientCertificates = [{ origin, certPath: cert, keyPath: key }];
  const context = await browser.newContext({ ignoreHTTPSErrors: true, clientCertificates });
  const page = await context.newPage();
  await page.goto(`${origin}/console`);
  await page.locator("[data-who]").getByText("operator").waitFor();
  assert.match(await page.locator("[data-who]").textContent(), /certificate:.*night shift/);
  const seen = (await viewTitles(page)).filter((title) => title !== "Erasure");
  assert.deepEqual(seen, SEEN.operator);
  await page.getByRole("button", { name: "Use a key" }).click();
  await page.getByLabel("API key or token").waitFor();
  await context.close();
});

test("keys are made, shown once, rotated and revoked", async () => {
  const page = await openPage(browser, url, { expected: REFUSED });
  await signIn(page, keys.admin);
  await show(page, "Keys");
  await page.getByLabel("Name", { exact: true }).fill("web shop");
  await page.getByLabel("Tenant").fill("has space");
  await page.getByRole("button", { name: "Create" }).click();
  await page
    .getByRole("alert")
    .getByText(/tenant: must be 1 to 128 visible ASCII/)
    .waitFor();
  await page.getByLabel("Tenant").fill("shop");
  await page.getByLabel(/^Days/).fill("30");
  await page.getByRole("button", { name: "Create" }).click();
  const secret = await page.locator("[data-secret]").textContent();
  const status = async (key) =>
    (await api("POST", "/cache/lookup", { query: "Does it open?" }, { url, key })).status;
  assert.equal(await status(secret), 200);
  await page.getByRole("button", { name: "I have kept it" }).click();
  assert.ok(!(await page.locator("body").textContent()).includes(secret));
  const row = page.getByRole("row").filter({ hasText: "web shop" });
  await row
    .getByText("tenant:shop")
    .or(row.getByText("shop", { exact: true }))
    .first()
    .waitFor();
  await checkAccess(page, "keys");
  await shoot(page, "keys");

  await row.getByRole("button", { name: "Rotate" }).click();
  await page.getByLabel(/^Seconds/).fill("0");
  await page.getByRole("dialog").getByRole("button", { name: "Rotate" }).click();
  await eventually(
    () => status(secret),
    (code) => code === 401,
    "the old secret",
  );
  const fresh = await page.locator("[data-secret]").textContent();
  assert.equal(await status(fresh), 200);
  await row.getByRole("button", { name: "Revoke" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await row.getByText("revoked").waitFor();
  assert.equal(await status(fresh), 401);

  await show(page, "Audit");
  await page
    .getByRole("cell", { name: /key \w+ revoked/ })
    .first()
    .waitFor();
  const { entries } = (await admin("GET", "/admin/audit?limit=200")).json();
  await page
    .getByRole("cell", {
      name: String(entries.find((line) => /rotated/.test(line.detail)).seq),
      exact: true,
    })
    .first()
    .waitFor();
  await page.getByLabel("Filter").fill("no such line");
  await page.getByText("No line matches.").waitFor();
  await page.getByLabel("Filter").fill("rotated");
  await checkAccess(page, "audit");
  await shoot(page, "audit");
  const high = await page.evaluate(() => document.querySelector("header").offsetHeight);
  assert.ok(high <= 64, `the header of an admin is ${high} px high: more than a row`);
  // On a phone a row is a block of named lines, none of them squeezed.
  await page.setViewportSize(PHONE);
  const width = await page.evaluate(() => document.querySelector(".stack td:last-child").offsetWidth);
  assert.ok(width > 260, `what happened is ${width} px wide`);
  await checkWidth(page, "audit on a phone");
  await checkAccess(page, "audit on a phone");
  await page.getByLabel("Filter").fill("");
  await shoot(page, "audit-secured-phone");
  await page.finish();
});

test("who is turned away in the middle has to sign in again", async () => {
  const made = (await admin("POST", "/admin/keys", { name: "short-lived", role: "operator" })).json();
  const page = await openPage(browser, url, { expected: REFUSED });
  await signIn(page, made.key, { inTab: true });
  await show(page, "Playground");
  await admin("DELETE", `/admin/keys/${made.prefix}`);
  await page.getByLabel("Question").fill("Am I still somebody?");
  await page.getByRole("button", { name: "Ask" }).click();
  await page.getByText(/Signed out: this key is unknown, expired or revoked/).waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  await page.finish();
});

test("an operator reads settings and cannot change them; the admin's change shows", async () => {
  const page = await openPage(browser, url, { expected: REFUSED });
  await signIn(page, keys.operator);
  await show(page, "Configuration");
  const row = page.locator("[data-setting='cache.similarity_threshold']");
  assert.equal(await row.locator(".value").textContent(), "0.65");
  assert.equal(await page.getByRole("button", { name: /^Change/ }).count(), 0);
  assert.equal(await page.getByRole("button", { name: "Reset changes" }).count(), 0);
  assert.equal((await admin("PUT", "/admin/config", { "cache.similarity_threshold": 0.7 })).status, 200);
  await page.getByRole("button", { name: "Reload the file" }).click();
  await eventually(
    () => row.locator(".value").textContent(),
    (text) => text === "0.7",
    "the admin's value",
  );
  await admin("POST", "/admin/config/reset");
  await page.finish();
});
