// Types from the JSON Schemas of our own documents, and the palette as CSS: what draws cannot drift from what writes.
// PYTHON names the interpreter that has omniplan.
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { compile } from "json-schema-to-typescript";

// The documents whose types are used: names of schemas.
const DOCUMENTS = ["report"];

const web = join(dirname(fileURLToPath(import.meta.url)), "..");
const out = join(web, "src", "generated");
const python = (...args) =>
  execFileSync(process.env.PYTHON ?? "python3", args, { cwd: join(web, ".."), encoding: "utf8" });

/** The schema as it is written: every key is there, and tuples in the words of the draft that the compiler reads. */
function written(schema) {
  if (Array.isArray(schema)) return schema.map(written);
  if (schema === null || typeof schema !== "object") return schema;
  const found = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, written(value)]));
  if (found.properties) found.required = Object.keys(found.properties);
  if (found.prefixItems) {
    found.items = found.prefixItems;
    delete found.prefixItems;
  }
  return found;
}

mkdirSync(out, { recursive: true });
for (const name of DOCUMENTS) {
  const schema = written(JSON.parse(python("-m", "omniplan", "schema", name)));
  const banner = `/* Made from \`omniplan schema ${name}\`. */`;
  writeFileSync(join(out, `${name}.ts`), await compile(schema, name, { bannerComment: banner, format: false }));
}
const style = (name) => python("-c", `from omniplan.report.style import ${name}; print(${name}())`);
writeFileSync(join(out, "palette.css"), style("palette_css"));
writeFileSync(join(out, "labels.json"), style("palette_labels"));
