import * as Plot from "@observablehq/plot";
import { useEffect, useRef } from "preact/hooks";
import type { TradeoffPoint, Tradeoffs } from "../generated/report";
import { dashOf, seriesOf } from "./series";

interface CurveProps {
  tradeoffs: Tradeoffs;
  chosen: TradeoffPoint;
  /** Which of a point's figures is drawn. */
  figure: string;
  title: string;
}

const ROOM = { width: 340, height: 210, marginLeft: 44, marginRight: 12, marginTop: 14, marginBottom: 30 };

/** One figure over the context, a line for each cache type and micro-batch of as many slots as are chosen. */
export function CurveView({ tradeoffs, chosen, figure, title }: CurveProps) {
  const room = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const drawn = curve(tradeoffs, chosen, figure);
    room.current?.replaceChildren(drawn);
    return () => drawn.remove();
  }, [tradeoffs, chosen, figure]);
  return (
    <figure class="chart">
      <h3>{title}</h3>
      <div ref={room} aria-hidden="true" />
    </figure>
  );
}

/** The last context, and those that are far enough from the next to be written under a line. */
function spaced(contexts: readonly number[]): number[] {
  return contexts.filter((n_ctx, at) => (contexts[at + 1] ?? Infinity) >= 1.5 * n_ctx);
}

function curve(tradeoffs: Tradeoffs, chosen: TradeoffPoint, name: string) {
  const valueOf = (point: TradeoffPoint) => point.figures.find((each) => each.name === name)?.value ?? null;
  const points = tradeoffs.points.filter((point) => point.n_parallel === chosen.n_parallel);
  const names = new Map(tradeoffs.contexts.map((n_ctx, at) => [n_ctx, tradeoffs.context_texts[at] ?? ""]));
  const lines = [...new Set(points.map((point) => point.series))].sort((one) => (one === chosen.series ? 1 : -1));
  return Plot.plot({
    ...ROOM,
    x: {
      type: "log",
      base: 2,
      ticks: spaced(tradeoffs.contexts),
      tickFormat: (n_ctx: number) => names.get(n_ctx) ?? "",
      tickSize: 4,
      label: null,
    },
    y: { zero: true, nice: true, ticks: 4, grid: true, label: null, tickSize: 0 },
    marks: [
      Plot.ruleX([chosen.n_ctx], { stroke: "var(--muted)", strokeOpacity: 0.5 }),
      ...lines.map((line) => {
        const own = points.filter((point) => point.series === line && point.figures.length > 0);
        const first = own[0] ?? chosen;
        const isChosen = line === chosen.series;
        return Plot.line(own, {
          x: "n_ctx",
          y: valueOf,
          stroke: seriesOf(tradeoffs, first.cache_type),
          strokeDasharray: dashOf(tradeoffs, first.n_ubatch),
          strokeWidth: isChosen ? 3 : 1.5,
          strokeOpacity: isChosen ? 1 : 0.6,
        });
      }),
      Plot.dot(chosen.figures.length > 0 ? [chosen] : [], {
        x: "n_ctx",
        y: valueOf,
        r: 5,
        fill: seriesOf(tradeoffs, chosen.cache_type),
        stroke: "var(--paper)",
        strokeWidth: 1.5,
      }),
    ],
  });
}
