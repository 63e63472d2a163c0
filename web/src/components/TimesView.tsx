import type { Bar } from "../generated/report";
import { StackedBar } from "./StackedBar";
import { hueStyle } from "./hue";

/** Where the time goes: a bar a phase, and its causes in words. */
export function TimesView({ times }: { times: readonly Bar[] }) {
  return (
    <>
      {times.map((bar) => (
        <div class="bar-row" key={bar.name}>
          <div class="bar-head">
            <strong data-figure={`time.${bar.name}`}>{bar.text}</strong>
            <span class="quiet">{bar.label}</span>
          </div>
          <StackedBar bar={bar} />
          <ul class="terms">
            {bar.segments.map((segment) => (
              <li key={segment.label}>
                <span class="swatch" style={hueStyle(segment.hue)} />
                {segment.label}
                <span class="end" data-figure={`time.${bar.name}.${segment.label}`}>
                  {segment.text}
                </span>
              </li>
            ))}
          </ul>
        </div>
      ))}
    </>
  );
}
