// Builds ../static/demo/editor.js and, beside it, the licences of everything that is inside.

import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { build } from "esbuild";

const target = "../static/demo/editor.js";
const { metafile } = await build({
  entryPoints: ["editor.js"],
  bundle: true,
  format: "esm",
  minify: true,
  legalComments: "none",
  target: "es2020",
  outfile: target,
  metafile: true,
  banner: { js: "/* Built from demo/editor by `npm run build`. Licences: editor.LICENSES.txt */" },
});

const folders = new Set();
for (const input of Object.keys(metafile.inputs)) {
  const found = input.match(/^node_modules\/(@[^/]+\/[^/]+|[^/]+)\//);
  if (found) folders.add(join("node_modules", found[1]));
}
const notices = [...folders].sort().map((folder) => {
  const { name, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return `${name} ${version}\n\n${readFileSync(join(folder, "LICENSE"), "utf8").trim()}\n`;
});
writeFileSync(join(dirname(target), "editor.LICENSES.txt"), notices.join(`\n${"-".repeat(72)}\n\n`));
