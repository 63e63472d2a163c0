// Types from the JSON Schemas of our own documents, and the palette as CSS: what draws cannot drift from what writes.
// PYTHON names the interpreter that has omniplan.
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { compile } from "json-schema-to-typescript";

// The documents whose types are used: names of schemas.
const DOCUMENTS = ["report"];
// What the page and its worker say to each other: classes of `omniplan.page.values`.
const TALK = { answer: "PageAnswer", "header-shown": "HeaderShown", "model-place": "ModelPlace", question: "PageQuestion" };
const TABLES = "PageTables";

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
async function types(name, schema, source) {
  const options = { bannerComment: `/* Made from ${source}. */`, format: false };
  writeFileSync(join(out, `${name}.ts`), await compile(written(JSON.parse(schema)), name, options));
}

/** What a function of ours returns, as text. */
const made = (module, name, shown = "") =>
  python("-c", `from omniplan.${module} import ${name}; print(${name}()${shown})`);

function schemaOf(kind) {
  const given = `from omniplan.documents.schema import json_schema; from omniplan.page.values import ${kind}`;
  return python("-c", `import json; ${given}; print(json.dumps(json_schema(${kind})))`);
}

for (const name of DOCUMENTS) {
  await types(name, python("-m", "omniplan", "schema", name), `\`omniplan schema ${name}\``);
}
for (const [name, kind] of Object.entries({ ...TALK, "page-tables": TABLES })) {
  await types(name, schemaOf(kind), `\`omniplan.page.values.${kind}\``);
}
writeFileSync(join(out, "tables.json"), made("page.tables", "page_tables", ".to_json()"));
writeFileSync(join(out, "palette.css"), made("report.style", "palette_css"));
writeFileSync(join(out, "labels.json"), made("report.style", "palette_labels"));
