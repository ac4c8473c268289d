// How every view looks and is reached: keyboard, screen reader, both colours, phone, a server that is away.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import {
  DESK,
  PHONE,
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

let browser;
before(async () => {
  browser = await startBrowser();
  await store("What is in the box?", "Screws.", { tags: ["stock"] });
});
after(() => browser.close());

test("it works by keyboard alone", async () => {
  const other = await openPage(browser, setup.url);
  await other.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  await other.keyboard.press("Tab");
  assert.equal(await other.evaluate(() => document.activeElement.textContent), "Skip to the view");
  await other.keyboard.press("Enter");
  assert.equal(await other.evaluate(() => document.activeElement.tagName), "MAIN");
  await other.getByRole("link", { name: "Playground" }).focus();
  await other.keyboard.press("Enter");
  await other.getByRole("heading", { level: 1, name: "Playground" }).waitFor();
  await eventually(
    () => other.evaluate(() => document.activeElement.textContent),
    (text) => text === "Playground",
    "the focus is on the new view's heading",
  );
  await other.keyboard.press("Tab");
  await other.keyboard.type("Is anybody there?");
  for (let at = 0; at < 2; at += 1) await other.keyboard.press("Tab");
  await other.keyboard.press("Enter");
  await other.getByText("Miss", { exact: true }).waitFor();

  await other.getByRole("link", { name: "Configuration" }).press("Enter");
  const change = other.getByRole("button", { name: "Change cache.ttl_seconds" });
  await change.press("Enter");
  await other.getByRole("dialog", { name: "Change a setting" }).waitFor();
  // What is behind the dialog is out of reach: the focus is in it, or on the browser's own controls.
  for (let at = 0; at < 8; at += 1) {
    await other.keyboard.press("Tab");
    const isBehind = () =>
      document.activeElement !== document.body && !document.activeElement.closest("dialog");
    assert.equal(await other.evaluate(isBehind), false);
  }
  await other.keyboard.press("Escape");
  await eventually(
    () => other.evaluate(() => document.activeElement.getAttribute("aria-label")),
    (label) => label === "Change cache.ttl_seconds",
    "the focus is back where it was",
  );
  await other.finish();
});

// Dark colours are judged on the phone; once is enough.
for (const [name, viewport, colorScheme, isJudged] of [
  ["light", DESK, "light", true],
  ["dark", DESK, "dark", false],
  ["phone", PHONE, "dark", true],
]) {
  test(`no view has an accessibility violation or sticks out: ${name}`, async () => {
    const other = await openPage(browser, setup.url, { viewport, colorScheme });
    await tile(other, "entries").waitFor();
    const titles = await viewTitles(other);
    assert.ok(titles.length > 7);
    for (const title of titles) {
      await show(other, title);
      await settled(other);
      if (isJudged) await checkAccess(other, `${title}, ${name}`);
      await checkWidth(other, `${title}, ${name}`);
      await shoot(other, `${title.toLowerCase()}-${name}`);
    }
    await other.finish();
  });
}

test("the header is one row on a desk", async () => {
  for (const width of [1240, 1280, 1366, 1440, 1600, 1920]) {
    const other = await openPage(browser, setup.url, { viewport: { width, height: 860 } });
    await tile(other, "entries").waitFor();
    const height = await other.evaluate(() => document.querySelector("header").offsetHeight);
    assert.ok(height <= 64, `${height} px high at ${width}`);
    await other.finish();
  }
});

test("colours can be chosen and are kept", async () => {
  const other = await openPage(browser, setup.url);
  const ground = () => other.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await ground();
  const button = other.getByRole("button", { name: /^Colours/ });
  await button.click();
  await button.click();
  assert.notEqual(await ground(), light);
  await other.reload();
  await other.getByRole("button", { name: "Colours: dark. Change" }).waitFor();
  assert.notEqual(await ground(), light);
  await other.finish();
});

test("a server that is gone is told, and found again", async () => {
  const other = await openPage(browser, setup.url, { expected: [/ERR_FAILED|ERR_CONNECTION/] });
  await tile(other, "entries").waitFor();
  await other.route("**/admin/**", (route) => route.abort());
  await other.getByRole("button", { name: "Pause" }).click();
  await other.getByRole("button", { name: "Go on" }).click();
  await other.getByText(/Not connected, trying again: the server cannot be reached/).waitFor();
  await other.unroute("**/admin/**");
  await other.getByText(/Not connected/).waitFor({ state: "detached" });
  await other.finish();
});
