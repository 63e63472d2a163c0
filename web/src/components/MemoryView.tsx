import type { Bar, BarGroup } from "../generated/report";
import { Legend } from "./Legend";
import { StackedBar } from "./StackedBar";
import type { HueName } from "./hue";

/** The machine: every memory as a bar, and the same as a table. */
export function MemoryView({ groups }: { groups: readonly BarGroup[] }) {
  const bars = groups.flatMap((group) => group.bars);
  return (
    <>
      <Legend hues={huesOf(bars)} />
      {groups.map((group) => (
        <div class="bar-group" key={group.title + group.bars[0]?.name}>
          {group.title && <h3>{group.title}</h3>}
          {group.bars.map((bar) => (
            <BarRow key={bar.name} bar={bar} />
          ))}
          {group.remark && <p class="quiet">{group.remark}</p>}
        </div>
      ))}
      <details>
        <summary>The same as a table</summary>
        <MemoryTable bars={bars} />
      </details>
    </>
  );
}

/** The roles of several bars in the order in which they stand in each. */
function huesOf(bars: readonly Bar[]): HueName[] {
  const hues: HueName[] = [];
  for (const bar of bars) {
    let at = 0;
    for (const { hue } of bar.segments) {
      if (!hues.includes(hue)) hues.splice(at, 0, hue);
      at = hues.indexOf(hue) + 1;
    }
  }
  return hues;
}

/** A bar under its name, its size and what to know of it. */
export function BarRow({ bar, thin = false }: { bar: Bar; thin?: boolean }) {
  return (
    <div class="bar-row">
      <div class="bar-head">
        <strong>{bar.name}</strong>
        {bar.label !== bar.name && <span class="quiet">{bar.label}</span>}
        <span class="end" data-figure={`${bar.name}.used`}>
          {bar.text}
        </span>
        {bar.remark && (
          <span class="quiet" data-state={bar.state}>
            {bar.remark}
          </span>
        )}
      </div>
      <StackedBar bar={bar} thin={thin} />
    </div>
  );
}

function MemoryTable({ bars }: { bars: readonly Bar[] }) {
  const key = (segment: Bar["segments"][number]) => [segment.owner, segment.label].filter(Boolean).join(": ");
  const labels = [...new Set(bars.flatMap((bar) => bar.segments.map(key)))];
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label="Memory as a table">
      <table class="figures-table">
        <thead>
          <tr>
            <th scope="col">memory</th>
            {bars.map((bar) => (
              <th scope="col" key={bar.name}>
                {bar.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {labels.map((label) => (
            <tr key={label}>
              <th scope="row">{label}</th>
              {bars.map((bar) => {
                const segment = bar.segments.find((each) => key(each) === label);
                return (
                  <td key={bar.name} title={segment?.parts || undefined} data-figure={`${bar.name}.${label}`}>
                    {segment?.text ?? ""}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
