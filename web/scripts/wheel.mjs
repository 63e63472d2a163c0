// Builds omniplan's wheel for the page to run, the released one but for the page itself, and a snapshot of Python's memory
// that has planned with it: Python would otherwise take four seconds to start, and to compile and import 400 modules.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { loadPyodide } from "pyodide";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const out = join(root, "web", "node_modules", ".wheel");

rmSync(join(root, "omniplan", "web", "page"), { recursive: true, force: true });
rmSync(out, { recursive: true, force: true });
execFileSync(process.env.PYTHON ?? "python3", ["-m", "hatchling", "build", "-t", "wheel", "-d", out], { cwd: root });

const [wheel] = readdirSync(out);
const python = await loadPyodide({ _makeSnapshot: true });
const site = python.runPython("import site; site.getsitepackages()[0]");
python.unpackArchive(new Uint8Array(readFileSync(join(out, wheel))), "zip", { extractDir: site });
python.runPython(`
import gc
import json

from omniplan.page.answer import answers
from omniplan.page.tables import page_tables

model = min(page_tables().models, key=lambda choice: float(choice.text.split()[0].replace(",", ""))).value
# Graphs have tens of thousands of nodes and no cycles; to look for some takes a tenth of the time of a plan.
gc.set_threshold(100_000)
for _ in answers(json.dumps({"model": model, "machine": "RTX 3090, Ryzen 9 5950X, 64 GB"})):
    pass
gc.collect()
`);
writeFileSync(join(out, "snapshot.bin"), gzipSync(python.makeMemorySnapshot(), { level: 9 }));
