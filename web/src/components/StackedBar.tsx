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
        <span class="what">{label}</span>
        {text}
      </span>
    </div>
  );
}

interface Span {
  owner: string;
  length: number;
}

/** Pieces in a row that belong to one. */
function spansOf(segments: readonly Segment[]): Span[] {
  const spans: Span[] = [];
  for (const { owner, value } of segments) {
    const last = spans.at(-1);
    if (last?.owner === owner) last.length += value;
    else spans.push({ owner, length: value });
  }
  return spans;
}

/** One bar; what it shows stands beside it in words, so that it is hidden from who cannot see it. */
export function StackedBar({ bar, thin = false }: { bar: Bar; thin?: boolean }) {
  const length = bar.segments.reduce((sum, segment) => sum + segment.value, 0);
  const beyond = bar.scale - length;
  const rest = beyond > 0 && <div class="beyond" style={{ flexGrow: GROWTH * beyond }} />;
  const isOver = bar.limit !== null && bar.limit < length;
  return (
    <div aria-hidden="true">
      <div class={thin ? "bar thin" : "bar"}>
        {bar.segments.map((segment) => (
          <Piece key={segment.owner + segment.label} segment={segment} />
        ))}
        {rest}
        {isOver && <div class="limit" style={{ left: `${(100 * (bar.limit ?? 0)) / bar.scale}%` }} />}
      </div>
      {bar.segments.some((segment) => segment.owner) && (
        <div class="owners">
          {spansOf(bar.segments).map(({ owner, length }) => (
            <div key={owner} class={owner && "owner"} style={{ flexGrow: GROWTH * length }} title={owner}>
              <span class="inside">{owner}</span>
            </div>
          ))}
          {rest}
        </div>
      )}
    </div>
  );
}
