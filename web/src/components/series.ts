// How lines are told apart: a colour a cache type, a dash a micro-batch.
import type { Tradeoffs } from "../generated/report";

const COLOURS = ["var(--hue-experts)", "var(--hue-attention)", "var(--hue-cache)", "var(--hue-compute)"];
const DASHES = ["none", "7 4", "2 3", "10 3 2 3"];

/** The colour of a cache type's lines. */
export function seriesOf(tradeoffs: Tradeoffs, cacheType: string): string {
  return COLOURS[tradeoffs.cache_types.indexOf(cacheType) % COLOURS.length] ?? "currentColor";
}

/** The dashes of a micro-batch's lines. */
export function dashOf(tradeoffs: Tradeoffs, ubatch: number): string {
  return DASHES[tradeoffs.ubatches.indexOf(ubatch) % DASHES.length] ?? "none";
}
