// Builds omniplan's wheel for the page to run, the released one but for the page itself, and its bytecode by the Python
// of the page, which would otherwise compile 400 modules before it says anything.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadPyodide } from "pyodide";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const out = join(root, "web", "node_modules", ".wheel");

rmSync(join(root, "omniplan", "web", "page"), { recursive: true, force: true });
rmSync(out, { recursive: true, force: true });
execFileSync(process.env.PYTHON ?? "python3", ["-m", "hatchling", "build", "-t", "wheel", "-d", out], { cwd: root });

const [wheel] = readdirSync(out);
const python = await loadPyodide();
const site = python.runPython("import site; site.getsitepackages()[0]");
python.unpackArchive(new Uint8Array(readFileSync(join(out, wheel))), "zip", { extractDir: site });
// The files never change behind it: whether they did is not asked.
python.runPython(`
import compileall, os, zipfile
from pathlib import Path
from py_compile import PycInvalidationMode

site = Path(site.getsitepackages()[0])
os.chdir(site)
assert compileall.compile_dir("omniplan", quiet=1, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)
with zipfile.ZipFile("/tmp/bytecode.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
    for path in sorted(Path("omniplan").rglob("*.pyc")):
        archive.writestr(zipfile.ZipInfo(path.as_posix()), path.read_bytes(), zipfile.ZIP_DEFLATED)
`);
writeFileSync(join(out, "bytecode.zip"), python.FS.readFile("/tmp/bytecode.zip"));
