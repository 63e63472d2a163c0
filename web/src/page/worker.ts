// Runs omniplan's own wheel under Pyodide, beside the page, so that the page never waits for a search.
import type { Reply, Request } from "./messages";

/** The functions of `omniplan.page.answer`. */
interface Planner {
  answers(question: string): { next(): { value: string; done?: boolean }; destroy(): void };
  place(text: string, listing: string): string;
  show_machine(name: string, text: string): string;
  report(sheet: string): string;
  show(place: string, file: string, size: number, beginning: unknown): string;
}

interface Python {
  FS: unknown;
  unpackArchive(data: ArrayBuffer, format: string, options: { extractDir: string }): void;
  pyimport(name: string): Planner;
  runPython(code: string): unknown;
  setInterruptBuffer(buffer: Uint8Array): void;
  toPy(value: unknown): { destroy(): void };
}

/** Python's WebAssembly before it runs. */
interface Module {
  growMemory(size: number): void;
}

// Set by the build: the folder of Python's own files beside this script's, and omniplan's wheel in it.
declare const PYTHON: string;
declare const WHEEL: string;

// How long a quick answer stands alone, so that whoever drags a slider starts no search that is dropped at once. Another
// question ends it.
const PAUSE = 120;

let interrupt: Uint8Array = new Uint8Array(1);
let planner: Planner;
let python: Python;
let wanted: { id: number; question: string } | null = null;
let isAsking = false;
let wake: () => void = () => undefined;

const say = (reply: Reply) => postMessage(reply);

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    wake = resolve;
    setTimeout(resolve, milliseconds);
  });
}

async function start(shared: SharedArrayBuffer | null) {
  const folder = new URL(PYTHON, import.meta.url).href;
  say({ kind: "step", text: "Loading Python" });
  const wheel = fetch(`${folder}${WHEEL}`).then((response) => response.arrayBuffer());
  const snapshot = fetch(`${folder}snapshot.bin`).then(unpacked);
  const { loadPyodide } = await import(/* @vite-ignore */ `${folder}pyodide.mjs`);
  const { default: create } = await import(/* @vite-ignore */ `${folder}pyodide.asm.mjs`);
  // Memory as it was after a first plan, when the page was built; it is larger than what Python begins with.
  const createPyodideModule = async (settings: unknown) => {
    const module: Module = await create(settings);
    module.growMemory((await snapshot).length);
    return module;
  };
  python = (await loadPyodide({ indexURL: folder, _loadSnapshot: snapshot, createPyodideModule })) as Python;
  say({ kind: "step", text: "Loading omniplan" });
  const site = python.runPython("import site; site.getsitepackages()[0]") as string;
  python.unpackArchive(await wheel, "zip", { extractDir: site });
  planner = python.pyimport("omniplan.page.answer");
  if (shared) python.setInterruptBuffer((interrupt = new Uint8Array(shared)));
  say({ kind: "ready" });
}

async function unpacked(response: Response): Promise<Uint8Array> {
  const stream = response.body?.pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream ?? null).arrayBuffer());
}

/** Answers the question that was asked last; one that comes meanwhile takes its place. */
async function ask() {
  isAsking = true;
  for (let asked = wanted; asked; asked = wanted) {
    wanted = null;
    await answer(asked.id, asked.question);
    // What was posted during a search arrives now.
    await pause(0);
  }
  isAsking = false;
}

async function answer(id: number, question: string) {
  interrupt[0] = 0;
  const answers = planner.answers(question);
  try {
    for (let found = answers.next(); !found.done && !wanted; found = answers.next()) {
      say({ kind: "answer", id, text: found.value });
      await pause(PAUSE);
      if (wanted) break;
    }
    say({ kind: "done", id });
  } catch (error) {
    failed(id, error);
  } finally {
    answers.destroy();
  }
}

function failed(id: number, error: unknown) {
  const text = String((error as Error).message ?? error).trim();
  const kind = (error as { type?: string }).type;
  if (kind === "KeyboardInterrupt") say({ kind: "done", id });
  // Python's own errors leave it running; whatever else happens to WebAssembly does not.
  else say({ kind: "failed", id, text: text.slice(text.lastIndexOf("\n") + 1), isFatal: kind === undefined });
}

function reply(id: number, make: () => string) {
  interrupt[0] = 0;
  try {
    say({ kind: "reply", id, text: make() });
  } catch (error) {
    failed(id, error);
  }
}

onmessage = ({ data }: MessageEvent<Request>) => {
  if (data.kind === "start") {
    start(data.interrupt).catch((error: unknown) => failed(0, error));
  } else if (data.kind === "ask") {
    wanted = data;
    wake();
    if (!isAsking) void ask();
  } else if (data.kind === "place") {
    reply(data.id, () => planner.place(data.text, data.listing));
  } else if (data.kind === "machine") {
    reply(data.id, () => planner.show_machine(data.name, data.text));
  } else if (data.kind === "report") {
    reply(data.id, () => planner.report(data.sheet));
  } else {
    reply(data.id, () => {
      const beginning = python.toPy(data.beginning);
      try {
        return planner.show(data.place, data.file, data.size, beginning);
      } finally {
        beginning.destroy();
      }
    });
  }
};

