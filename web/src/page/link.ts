// A question as the fragment of a link: all of it, in words that a person can read and change.
import type { Question } from "../generated/question";

const KEYS = {
  model: "model",
  quant: "quant",
  machine: "machine",
  n_ctx: "ctx",
  n_parallel: "slots",
  cache_type: "cache",
  n_ubatch: "ubatch",
  headroom: "headroom",
  build: "build",
} as const satisfies Record<keyof Question, string>;
// These mean something else in another version, so that a link always says them.
const ALWAYS: ReadonlySet<string> = new Set(["model", "machine", "build"]);

/** The fragment that asks `question`; what is as usual is left out. */
export function fragmentOf(question: Question, usual: Question): string {
  const words = new URLSearchParams();
  for (const [field, key] of Object.entries(KEYS) as [keyof Question, string][]) {
    if (ALWAYS.has(field) || question[field] !== usual[field]) words.set(key, String(question[field]));
  }
  return `#${words}`;
}

/** The question of a fragment, whatever somebody wrote into it; what it leaves out is as usual. */
export function questionOf(fragment: string, usual: Question): Question {
  const words = new URLSearchParams(fragment.replace(/^#/, ""));
  const found: Record<string, string | number> = { ...usual };
  for (const [field, key] of Object.entries(KEYS)) {
    const said = words.get(key);
    if (said === null) continue;
    if (typeof found[field] === "string") found[field] = said;
    else if (/^\d{1,9}$/.test(said)) found[field] = Number(said);
  }
  return found as unknown as Question;
}
