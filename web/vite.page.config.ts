// The page: its scripts, Python with omniplan's own wheel, and the service worker that keeps all of it at hand.
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { defineConfig, type Plugin, type ResolvedConfig } from "vite";

const OUT = "../omniplan/web/page";
const PYODIDE = "node_modules/pyodide";
// What of the package a browser loads.
const PYTHON_FILES = ["pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json"];
// Where `scripts/wheel.mjs` has put omniplan's wheel and the snapshot.
const WHEELS = "node_modules/.wheel";

const wheels = readdirSync(WHEELS).sort();
const version = JSON.parse(readFileSync(join(PYODIDE, "package.json"), "utf8")).version as string;
// In its path, so that no browser takes the files of one version for those of another.
const python = `python-${version}-${digest(Buffer.concat(wheels.map((name) => readFileSync(join(WHEELS, name)))))}`;

function digest(data: Buffer | string): string {
  return createHash("sha256").update(data).digest("hex").slice(0, 12);
}

function files(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}

/** Puts Python and the wheel beside the page, and says in the service worker which files there are. */
function vendored(): Plugin {
  let config: ResolvedConfig;
  return {
    name: "vendored",
    configResolved: (resolved) => void (config = resolved),
    closeBundle() {
      const out = join(config.root, config.build.outDir);
      const folder = join(out, python);
      mkdirSync(folder, { recursive: true });
      for (const name of PYTHON_FILES) cpSync(join(PYODIDE, name), join(folder, name));
      for (const name of wheels) cpSync(join(WHEELS, name), join(folder, name));
      const script = join(out, "service-worker.js");
      const own = files(out).filter((name) => name !== "service-worker.js");
      const state = digest(own.map((name) => `${name} ${digest(readFileSync(join(out, name)))}`).join("\n"));
      const text = readFileSync(script, "utf8");
      writeFileSync(script, text.replace(/(["'`])FILES\1/, JSON.stringify(own)).replace(/(["'`])STATE\1/, JSON.stringify(state)));
    },
  };
}

rmSync(OUT, { recursive: true, force: true });

export default defineConfig({
  root: "src/page",
  base: "./",
  publicDir: "public",
  plugins: [vendored()],
  define: { PYODIDE: JSON.stringify(version), PYTHON: JSON.stringify(`../${python}/`), WHEEL: JSON.stringify(wheels.find((name) => name.endsWith(".whl"))) },
  worker: { format: "es" },
  build: {
    outDir: `../../${OUT}`,
    emptyOutDir: false,
    target: "es2022",
    assetsInlineLimit: 0,
    rollupOptions: {
      input: { index: "src/page/index.html", "service-worker": "src/page/service-worker.ts" },
      output: { entryFileNames: ({ name }) => (name === "service-worker" ? "[name].js" : "assets/[name]-[hash].js") },
    },
  },
});
