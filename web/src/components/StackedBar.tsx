import type { Bar, Segment } from "../generated/report";
import { hueStyle } from "./hue";

// Growth factors that add up to less than one leave room; seconds of a token would.
const GROWTH = 1e6;

function Piece({ segment }: { segment: Segment }) {
  const { hue, label, text, value, owner, parts } = segment;
  const title = [[owner, label].filter(Boolean).join(": "), text].join(" ") + (parts ? ` (${parts})` : "");
  return (
    <div class="piece" data-hue={hue} title={title} style={{ ...hueStyle(hue), flexGrow: GROWTH * value }}>
      <span class="inside">
        <span class="what">{owner || label}</span>
        {text}
      </span>
    </div>
  );
}

/** One bar; what it shows stands beside it in words, so that it is hidden from who cannot see it. */
export function StackedBar({ bar, thin = false }: { bar: Bar; thin?: boolean }) {
  const length = bar.segments.reduce((sum, segment) => sum + segment.value, 0);
  const isOver = bar.limit !== null && bar.limit < length;
  return (
    <div class={thin ? "bar thin" : "bar"} aria-hidden="true">
      {bar.segments.map((segment) => (
        <Piece key={segment.owner + segment.label} segment={segment} />
      ))}
      {bar.scale > length && <div class="beyond" style={{ flexGrow: GROWTH * (bar.scale - length) }} />}
      {isOver && <div class="limit" style={{ left: `${(100 * (bar.limit ?? 0)) / bar.scale}%` }} />}
    </div>
  );
}
