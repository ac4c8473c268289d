// Bundles src/ into generated/: one page, one script, one style sheet, the mark and the licences. The result
// is committed, so building the server needs neither Node nor a network; tests/console builds it again from
// the lock file and compares.
//   node build.mjs [FOLDER]     FOLDER instead of generated/
import { build } from "esbuild";
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const folder = process.argv[2] ?? join(here, "generated");

await mkdir(folder, { recursive: true });
await build({
  absWorkingDir: here,
  entryPoints: { app: "src/main.jsx", style: "src/style.css" },
  outdir: folder,
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  charset: "utf8",
  logLevel: "warning",
});
for (const name of ["index.html", "mark.svg"]) await cp(join(here, "src", name), join(folder, name));

const licences = await Promise.all(
  ["preact", "uplot"].map(async (name) => {
    const at = join(here, "node_modules", name);
    const { version } = JSON.parse(await readFile(join(at, "package.json"), "utf8"));
    const text = await readFile(join(at, "LICENSE"), "utf8");
    return `${name} ${version}\n\n${text.trim()}\n`;
  }),
);
await writeFile(join(folder, "licences.txt"), licences.join(`\n${"-".repeat(80)}\n\n`));
