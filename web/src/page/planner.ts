// The planner as the page knows it: questions go to a worker, and answers come back when they are there.
import type { Answer } from "../generated/answer";
import type { HeaderShown } from "../generated/header-shown";
import type { ModelPlace } from "../generated/model-place";
import type { Question } from "../generated/question";
import { type HeaderSource, readBeginning, textAt, urlSource } from "./headers";
import { INTERRUPT, type Reply, type Request } from "./messages";

/** How the planner fares: on its way, ready, or given up. */
export interface Condition {
  state: "loading" | "ready" | "failed";
  text: string;
}

/** What a request to the worker is waiting for. */
interface Waiting {
  resolve(text: string): void;
  reject(error: Error): void;
}

type Asked =
  | { kind: "place"; text: string; listing: string }
  | { kind: "machine"; name: string; text: string }
  | { kind: "report"; sheet: string }
  | { kind: "show"; place: string; file: string; size: number; beginning: Uint8Array };

// What a hub may say of one repository.
const LONGEST_LISTING = 4 * 1024 * 1024;
// Parts of one model that are read at the same time.
const AT_ONCE = 4;

export class Planner {
  private worker: Worker | null = null;
  private interrupt: Uint8Array | null = null;
  private ready: Promise<void> = Promise.resolve();
  private readonly waiting = new Map<number, Waiting>();
  private readonly shown = new Map<string, readonly HeaderSource[]>();
  private readonly machines = new Map<string, string>();
  private readonly known = new Set<string>();
  private last = 0;
  private current: { id: number; answered: (answer: Answer) => void } | null = null;

  constructor(private readonly onCondition: (condition: Condition) => void) {
    this.begin();
  }

  /** Asks; `answered` is called for each answer until the last one, or until something else is asked. */
  async ask(question: Question, answered: (answer: Answer) => void): Promise<void> {
    const id = ++this.last;
    const isBusy = this.current !== null;
    this.current = { id, answered };
    await this.ready;
    await this.restore(question);
    if (this.current?.id !== id) return;
    if (isBusy && this.interrupt) this.interrupt[0] = INTERRUPT;
    this.post({ kind: "ask", id, question: JSON.stringify(question) });
  }

  /** Reads the headers of the model that `text` names, a repository or an address; what a question then calls it. */
  async locate(text: string, signal: AbortSignal): Promise<ModelPlace> {
    await this.ready;
    let place = await this.place(text, "");
    if (place.listing) place = await this.place(text, await textAt(place.listing, LONGEST_LISTING, signal));
    if (!place.problem) await this.read(place.name, place.files.map(urlSource), signal);
    return place;
  }

  /** Reads the headers of a model of these files; `name` is what a question calls it. */
  async read(name: string, sources: readonly HeaderSource[], signal: AbortSignal): Promise<void> {
    await this.ready;
    if (this.known.has(name)) return;
    const rest = [...sources];
    const readers = Array.from({ length: AT_ONCE }, async () => {
      for (let source = rest.shift(); source; source = rest.shift()) await this.show(name, source, signal);
    });
    await Promise.all(readers);
    this.shown.set(name, sources);
    this.known.add(name);
  }

  /** Reads the machine file that has this text; a question then calls the machine by its name. */
  async readMachine(name: string, text: string): Promise<void> {
    await this.ready;
    const found = JSON.parse(await this.request({ kind: "machine", name, text })) as HeaderShown;
    if (found.problem) throw new Error(found.problem.text);
    this.machines.set(name, text);
    this.known.add(name);
  }

  /** The report of a plan with this sheet: one HTML file. */
  report(sheet: NonNullable<Answer["sheet"]>): Promise<string> {
    return this.request({ kind: "report", sheet: JSON.stringify(sheet) });
  }

  private async show(place: string, source: HeaderSource, signal: AbortSignal): Promise<void> {
    await readBeginning(source, signal, async (size, beginning) => {
      const text = await this.request({ kind: "show", place, file: source.name, size, beginning });
      const found = JSON.parse(text) as HeaderShown;
      if (found.problem) throw new Error(found.problem.text);
      return found;
    });
  }

  private async place(text: string, listing: string): Promise<ModelPlace> {
    const found = JSON.parse(await this.request({ kind: "place", text, listing })) as ModelPlace;
    if (found.problem) throw new Error(found.problem.text);
    return found;
  }

  /** Shows again what a worker before this one knew. */
  private async restore({ model, machine }: Question): Promise<void> {
    const text = this.machines.get(machine);
    if (text !== undefined && !this.known.has(machine)) await this.readMachine(machine, text);
    const sources = this.shown.get(model);
    if (sources && !this.known.has(model)) await this.read(model, sources, new AbortController().signal);
  }

  private request(asked: Asked): Promise<string> {
    const id = ++this.last;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.post({ ...asked, id } as Request);
    });
  }

  private post(request: Request): void {
    this.worker?.postMessage(request);
  }

  private begin(): void {
    this.known.clear();
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    // Memory that page and worker share is there for a page that is isolated from others.
    const shared = globalThis.crossOriginIsolated ? new SharedArrayBuffer(1) : null;
    this.interrupt = shared && new Uint8Array(shared);
    this.worker = worker;
    this.ready = new Promise((resolve) => {
      worker.onmessage = ({ data }: MessageEvent<Reply>) => (data.kind === "ready" ? this.isReady(resolve) : this.heard(data));
      worker.onerror = () => this.gaveUp("its worker cannot be started");
    });
    this.post({ kind: "start", interrupt: shared });
  }

  private isReady(resolve: () => void): void {
    this.onCondition({ state: "ready", text: "" });
    resolve();
  }

  private heard(reply: Exclude<Reply, { kind: "ready" }>): void {
    if (reply.kind === "step") {
      this.onCondition({ state: "loading", text: reply.text });
    } else if (reply.kind === "answer") {
      if (this.current?.id === reply.id) this.current.answered(JSON.parse(reply.text) as Answer);
    } else if (reply.kind === "done") {
      if (this.current?.id === reply.id) this.current = null;
    } else if (reply.kind === "reply") {
      this.waiting.get(reply.id)?.resolve(reply.text);
      this.waiting.delete(reply.id);
    } else {
      this.failed(reply);
    }
  }

  private failed({ id, text, isFatal }: Extract<Reply, { kind: "failed" }>): void {
    const error = new Error(`the planner failed, which is an error of omniplan's own: ${text}`);
    this.waiting.get(id)?.reject(error);
    this.waiting.delete(id);
    if (id === 0) this.gaveUp(text);
    if (this.current?.id === id) {
      this.current.answered(brokenAnswer(error.message));
      this.current = null;
    }
    if (isFatal && id !== 0) {
      this.worker?.terminate();
      this.begin();
    }
  }

  private gaveUp(text: string): void {
    this.onCondition({ state: "failed", text: `The planner cannot be started here: ${text}` });
  }
}

function brokenAnswer(text: string): Answer {
  const problem = { text, field: "", does_not_fit: false, advice: [], ways: [] };
  return { is_last: true, title: "", sheet: null, plan: "", command: "", problem, quant: "", n_ctx: 0, contexts: [], notes: [] };
}
