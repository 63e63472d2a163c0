// What the page knows and does: the question, its answer, and the models whose headers are read for it.
import { useEffect, useRef, useState } from "preact/hooks";
import type { Answer } from "../generated/answer";
import type { ModelPlace } from "../generated/model-place";
import type { Question } from "../generated/question";
import type { PageTables } from "../generated/page-tables";
import { fileSource } from "./headers";
import { fragmentOf, questionOf } from "./link";
import { type Condition, Planner } from "./planner";

// What a machine file may be: one of eight hosts has some 20 kB.
const LONGEST_MACHINE = 1024 * 1024;

/** `answer` is the one at hand, to the question of `answered`, perhaps an earlier one; `trouble` why there is none. */
export interface Known {
  question: Question;
  answer: Answer | null;
  answered: string;
  isWaiting: boolean;
  trouble: string;
  reading: string;
  others: ModelPlace["others"];
}

export interface Planning extends Known {
  condition: Condition;
  /** Asks with these changes of the question. */
  change(changes: Partial<Question>): void;
  /** Takes the model that `text` names. */
  open(text: string): void;
  /** Takes the model of these files, or the machine of a machine file. */
  take(files: readonly File[]): void;
  /** The report of the plan that is shown: one HTML file. */
  report(sheet: NonNullable<Answer["sheet"]>): Promise<string>;
}

export function usePlanner(tables: PageTables): Planning {
  const [condition, setCondition] = useState<Condition>({ state: "loading", text: "Starting" });
  const [known, setKnown] = useState<Known>(() => ({
    question: questionOf(location.hash, tables.start),
    answer: null,
    answered: "",
    isWaiting: true,
    trouble: "",
    reading: "",
    others: [],
  }));
  const know = (changes: Partial<Known>) => setKnown((before) => ({ ...before, ...changes }));
  const planner = useRef<Planner | null>(null);
  planner.current ??= new Planner(setCondition);
  const reading = useRef(new AbortController());

  function ask(question: Question): void {
    know({ question, isWaiting: true, trouble: "", reading: "" });
    const link = fragmentOf(question, tables.start);
    history.replaceState(null, "", link);
    const tell = (answer: Answer) => know({ answer, answered: link, isWaiting: !answer.is_last });
    planner.current?.ask(question, tell).catch(failed);
  }

  function failed(error: Error): void {
    if (error.name !== "AbortError") know({ answer: null, isWaiting: false, trouble: error.message, reading: "" });
  }

  /** Asks once the headers are read that `read` reads; it says what is asked then. */
  function askAfter(question: Question, what: string, read: (planner: Planner, signal: AbortSignal) => Promise<Question>) {
    reading.current.abort();
    reading.current = new AbortController();
    know({ question, isWaiting: true, trouble: "", reading: what });
    if (planner.current) {
      read(planner.current, reading.current.signal).then(ask, failed);
    }
  }

  function openWith(question: Question): void {
    const { model } = question;
    if (!model.includes("/")) {
      reading.current.abort();
      know({ others: [] });
      ask(question);
      return;
    }
    askAfter(question, model, async (known, signal) => {
      const place = await known.locate(model, signal);
      know({ others: place.others });
      return { ...question, model: place.name };
    });
  }

  function take(files: readonly File[]): void {
    const file = files.find(({ name }) => /\.(json|toml)$/i.test(name));
    if (file) takeMachine(file);
    else takeModel(files);
  }

  function takeMachine(file: File): void {
    const { question } = known;
    askAfter(question, file.name, async (planner) => {
      if (file.size > LONGEST_MACHINE) throw new Error(`${file.name}: is too long for a machine file`);
      await planner.readMachine(file.name, await file.text());
      return { ...question, machine: file.name };
    });
  }

  function takeModel(files: readonly File[]): void {
    const models = [...files].sort((a, b) => a.name.localeCompare(b.name, "en"));
    const name = models[0]?.name;
    if (!name) return;
    know({ others: [] });
    const question = { ...known.question, model: name, quant: "" };
    askAfter(question, name, async (planner, signal) => {
      await planner.read(name, models.map(fileSource), signal);
      return question;
    });
  }

  useEffect(() => {
    const follow = () => openWith(questionOf(location.hash, tables.start));
    follow();
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);

  return {
    ...known,
    condition,
    change: (changes) => ask({ ...known.question, ...changes }),
    open: (text) => openWith({ ...known.question, model: text, quant: "" }),
    take,
    report: async (sheet) => planner.current?.report(sheet) ?? "",
  };
}
