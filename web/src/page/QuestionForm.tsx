// The question: a model, a machine, and what may be moved.
import { useEffect, useRef, useState } from "preact/hooks";
import type { PageTables } from "../generated/page-tables";
import { MachineBuilder } from "./MachineBuilder";
import { Field, Select, TextField } from "./fields";
import type { Planning } from "./usePlanner";

interface Props {
  tables: PageTables;
  planning: Planning;
}

export function QuestionForm({ tables, planning }: Props) {
  const { question, change } = planning;
  return (
    <form class="question" aria-label="Question" onSubmit={(event) => event.preventDefault()}>
      <ModelFields tables={tables} planning={planning} />
      <MachineFields tables={tables} planning={planning} />
      <fieldset>
        <legend>Settings</legend>
        <ContextSlider planning={planning} />
        <div class="pairs">
          <Select label="Slots" value={String(question.n_parallel)} choices={tables.slots} onChange={(value) => change({ n_parallel: Number(value) })} />
          <Select label="Cache type" value={question.cache_type} choices={tables.cache_types} onChange={(cache_type) => change({ cache_type })} />
          <Select label="Micro-batch" value={String(question.n_ubatch)} choices={tables.ubatches} onChange={(value) => change({ n_ubatch: Number(value) })} />
          <Select label="Kept free" value={question.headroom} choices={tables.headrooms} onChange={(headroom) => change({ headroom })} />
        </div>
        <TextField label="llama.cpp build" value={question.build} onCommit={(build) => change({ build })} />
      </fieldset>
      <CopyLink />
    </form>
  );
}

function ModelFields({ tables, planning }: Props) {
  const { question, answer, others, open, take, change } = planning;
  const files = useRef<HTMLInputElement>(null);
  const own = { value: "", text: answer?.quant ? `as it is (${answer.quant})` : "as it is" };
  return (
    <fieldset>
      <legend>Model</legend>
      <TextField
        label="Name, owner/repo:QUANT of Hugging Face, or address"
        value={question.model}
        choices={tables.models}
        onCommit={open}
        isSearch
      />
      {others.length > 1 && <Select label="File of the repository" value="" choices={[{ value: "", text: "another one …" }, ...others]} onChange={open} />}
      <div class="row">
        <button type="button" onClick={() => files.current?.click()}>Choose a GGUF file …</button>
        <span class="hint">or drop it anywhere: only its header is read</span>
        <input ref={files} type="file" accept=".gguf" multiple hidden aria-label="GGUF file" onChange={(event) => take([...(event.currentTarget.files ?? [])])} />
      </div>
      <Select label="Quant" value={question.quant} choices={[own, ...tables.quants]} onChange={(quant) => change({ quant })} />
    </fieldset>
  );
}

function MachineFields({ tables, planning }: Props) {
  const { question, answer, change, take } = planning;
  const file = useRef<HTMLInputElement>(null);
  const setMachine = (machine: string) => change({ machine });
  return (
    <fieldset>
      <legend>Machine</legend>
      <TextField label="In words" value={question.machine} choices={tables.machines} onCommit={setMachine} />
      {answer && answer.notes.length > 0 && (
        <ul class="notes" aria-label="Taken for granted">
          {answer.notes.map((note) => <li key={note}>{note}</li>)}
        </ul>
      )}
      <div class="row">
        <button type="button" onClick={() => file.current?.click()}>Choose a machine file …</button>
        <span class="hint">or drop it: omniplan probe writes one</span>
        <input ref={file} type="file" accept=".toml,.json" hidden aria-label="Machine file" onChange={(event) => take([...(event.currentTarget.files ?? [])])} />
      </div>
      <MachineBuilder tables={tables} onMachine={setMachine} />
    </fieldset>
  );
}

/** The contexts that the model may be asked for; a step of the slider is one of them. */
function ContextSlider({ planning }: { planning: Planning }) {
  const { answer, question, change } = planning;
  const contexts = answer?.contexts ?? [];
  const asked = String(question.n_ctx || answer?.n_ctx || "");
  const at = contexts.findIndex(({ value }) => value === asked);
  const text = contexts[at]?.text ?? "…";
  return (
    <Field label="Context" output={`${text} tokens`}>
      {(id) => (
        <input
          id={id}
          type="range"
          min={0}
          max={Math.max(contexts.length - 1, 1)}
          step={1}
          value={Math.max(at, 0)}
          disabled={contexts.length < 2}
          aria-valuetext={`${text} tokens`}
          onInput={(event) => {
            const chosen = contexts[Number(event.currentTarget.value)];
            if (chosen) change({ n_ctx: Number(chosen.value) });
          }}
        />
      )}
    </Field>
  );
}

/** Copies the address, which says the whole question. */
function CopyLink() {
  const [isCopied, setIsCopied] = useState(false);
  useEffect(() => {
    if (!isCopied) return;
    const timer = setTimeout(() => setIsCopied(false), 2000);
    return () => clearTimeout(timer);
  }, [isCopied]);
  const copy = () => navigator.clipboard.writeText(location.href).then(() => setIsCopied(true), () => undefined);
  return (
    <div class="row">
      <button type="button" onClick={copy}>Copy a link to this question</button>
      <span role="status">{isCopied ? "copied" : ""}</span>
    </div>
  );
}

