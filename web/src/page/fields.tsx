// Labelled controls.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useState } from "preact/hooks";
import type { PageChoice as Choice } from "../generated/page-tables";

export function Field(props: { label: string; output?: string; children: (id: string) => ComponentChildren }) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      {props.output !== undefined && <output for={id}>{props.output}</output>}
      {props.children(id)}
    </div>
  );
}

export function Select(props: { label: string; value: string; choices: readonly Choice[]; onChange: (value: string) => void }) {
  const { value, choices } = props;
  // A link may say what no list offers.
  const all = choices.some((choice) => choice.value === value) ? choices : [{ value, text: value }, ...choices];
  return (
    <Field label={props.label}>
      {(id) => (
        <select id={id} value={value} onChange={(event) => props.onChange(event.currentTarget.value)}>
          {all.map((choice) => <option key={choice.value} value={choice.value}>{choice.text}</option>)}
        </select>
      )}
    </Field>
  );
}

/**
 * A line of text that counts once it is left or confirmed; `choices` are offered while it is written. One that is searched
 * rather than edited begins empty, so that all of them are.
 */
export function TextField(props: {
  label: string;
  value: string;
  choices?: readonly Choice[];
  onCommit: (value: string) => void;
  isSearch?: boolean;
}) {
  const [text, setText] = useState(props.value);
  useEffect(() => setText(props.value), [props.value]);
  const list = useId();
  const commit = (value: string) => {
    const said = value.trim();
    if (said && said !== props.value) props.onCommit(said);
  };
  return (
    <Field label={props.label}>
      {(id) => (
        <>
          <input
            id={id}
            type={props.isSearch ? "search" : "text"}
            list={props.choices && list}
            value={text}
            placeholder={props.value}
            spellcheck={false}
            autocomplete="off"
            onFocus={() => props.isSearch && setText("")}
            onBlur={() => setText(props.value)}
            onInput={(event) => {
              const value = event.currentTarget.value;
              setText(value);
              if (props.choices?.some((choice) => choice.value === value)) commit(value);
            }}
            onChange={(event) => commit(event.currentTarget.value)}
          />
          {props.choices && (
            <datalist id={list}>
              {props.choices.map((choice) => <option key={choice.value} value={choice.value}>{choice.text}</option>)}
            </datalist>
          )}
        </>
      )}
    </Field>
  );
}
