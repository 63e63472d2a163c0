import { useId, useState } from "preact/hooks";
import type { JSX } from "preact";
import type { TradeoffPoint, Tradeoffs } from "../generated/report";
import { CommandView } from "./CommandView";
import { CurveView } from "./CurveView";
import { FiguresView } from "./FiguresView";
import { BarRow } from "./MemoryView";
import { dashOf, seriesOf } from "./series";

type Setting = Pick<TradeoffPoint, "n_ctx" | "cache_type" | "n_ubatch" | "n_parallel">;

function pointAt(tradeoffs: Tradeoffs, setting: Setting): TradeoffPoint | undefined {
  return tradeoffs.points.find(
    (point) =>
      point.n_ctx === setting.n_ctx &&
      point.cache_type === setting.cache_type &&
      point.n_ubatch === setting.n_ubatch &&
      point.n_parallel === setting.n_parallel,
  );
}

/** What context, cache type, micro-batch and slots trade: sliders over points that were computed beforehand. */
export function TradeoffsView({ tradeoffs }: { tradeoffs: Tradeoffs }) {
  const begin = tradeoffs.points[tradeoffs.start];
  const [setting, set] = useState<Setting | undefined>(begin);
  const chosen = setting && pointAt(tradeoffs, setting);
  if (!setting || !chosen) return null;
  const change = (changed: Partial<Setting>) => set({ ...setting, ...changed });
  return (
    <>
      <Controls tradeoffs={tradeoffs} setting={setting} change={change} />
      <div class="charts">
        <CurveView tradeoffs={tradeoffs} chosen={chosen} figure="decode" title="Writing, tokens/s" />
        <CurveView tradeoffs={tradeoffs} chosen={chosen} figure="prompt" title="Reading a prompt, tokens/s" />
        <CurveView tradeoffs={tradeoffs} chosen={chosen} figure="memory" title="Memory taken, GiB" />
      </div>
      <Readout point={chosen} />
    </>
  );
}

interface ControlsProps {
  tradeoffs: Tradeoffs;
  setting: Setting;
  change: (changed: Partial<Setting>) => void;
}

function Controls({ tradeoffs, setting, change }: ControlsProps) {
  const id = useId();
  const at = tradeoffs.contexts.indexOf(setting.n_ctx);
  const onInput = (event: InputEvent & { currentTarget: HTMLInputElement }) => {
    const n_ctx = tradeoffs.contexts[event.currentTarget.valueAsNumber];
    if (n_ctx !== undefined) change({ n_ctx });
  };
  return (
    <div class="controls">
      <div class="slider">
        <label for={id}>
          context <output>{`${tradeoffs.context_texts[at]} tokens`}</output>
        </label>
        <input
          id={id}
          type="range"
          min={0}
          max={tradeoffs.contexts.length - 1}
          step={1}
          value={at}
          aria-valuetext={`${tradeoffs.context_texts[at]} tokens`}
          onInput={onInput}
        />
      </div>
      <Choices legend="KV cache" values={tradeoffs.cache_types} chosen={setting.cache_type}
        choose={(cache_type) => change({ cache_type })}
        sample={(cache_type) => <span class="stroke" style={{ "--series": seriesOf(tradeoffs, cache_type) }} />} />
      <Choices legend="micro-batch" values={tradeoffs.ubatches} chosen={setting.n_ubatch}
        choose={(n_ubatch) => change({ n_ubatch })}
        sample={(n_ubatch) => <Dash dash={dashOf(tradeoffs, n_ubatch)} />} />
      {tradeoffs.parallels.length > 1 && (
        <Choices legend="slots" values={tradeoffs.parallels} chosen={setting.n_parallel}
          choose={(n_parallel) => change({ n_parallel })} />
      )}
    </div>
  );
}

function Dash({ dash }: { dash: string }) {
  return (
    <svg width="26" height="4" aria-hidden="true">
      <line x1="0" y1="2" x2="26" y2="2" stroke="currentColor" stroke-width="2.5" stroke-dasharray={dash} />
    </svg>
  );
}

interface ChoicesProps<T extends string | number> {
  legend: string;
  values: readonly T[];
  chosen: T;
  choose: (value: T) => void;
  sample?: (value: T) => JSX.Element;
}

function Choices<T extends string | number>({ legend, values, chosen, choose, sample }: ChoicesProps<T>) {
  const name = useId();
  return (
    <fieldset>
      <legend>{legend}</legend>
      <div class="choices">
        {values.map((value) => (
          <label key={value}>
            <input type="radio" name={name} checked={value === chosen} onChange={() => choose(value)} />
            {sample?.(value)}
            {value}
          </label>
        ))}
      </div>
    </fieldset>
  );
}

function Readout({ point }: { point: TradeoffPoint }) {
  if (!point.command) {
    return (
      <p class="readout" role="status">
        Does not fit: {point.why_not}
      </p>
    );
  }
  return (
    <div class="readout" role="status">
      <div>
        <h3>{point.strategy}</h3>
        <FiguresView figures={point.figures} small />
      </div>
      <div>
        {point.memory.map((bar) => (
          <BarRow key={bar.name} bar={bar} thin />
        ))}
      </div>
      <CommandView command={point.command} />
    </div>
  );
}
