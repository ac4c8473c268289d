import { chromium } from "playwright-core";
import { readFileSync } from "node:fs";
const url = process.argv[2];
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
const page = await browser.newPage({ viewport: { width: 1280, height: 860 } });
for (const [file, type] of [["app.js", "text/javascript"], ["style.css", "text/css"]])
  await page.route(`**/console/${file}*`, (r) => r.fulfill({ body: readFileSync(`/tmp/wt/adm8/console/generated/${file}`), contentType: type }));
await page.goto(url + "/console");
await page.waitForSelector("header");
const at = async (w, h, hash, name) => {
  await page.setViewportSize({ width: w, height: h });
  if (hash) { await page.goto(url + "/console#/" + hash); await page.waitForTimeout(700); }
  console.log(name, w, await page.evaluate(() => [document.querySelector("header").offsetHeight, document.documentElement.scrollWidth]));
  await page.screenshot({ path: `/tmp/adm8/shots/${name}.png`, fullPage: h < 800 });
};
await at(1280, 500, "overview", "q-overview-1280");
await at(1240, 500, "", "q-1240");
await at(1600, 500, "", "q-1600");
await at(1610, 500, "", "q-1610");
await at(360, 740, "audit", "q-audit-phone");
await at(360, 740, "entries", "q-entries-phone");
await browser.close();
