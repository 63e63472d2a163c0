// Colours of roles, as custom properties that generated/palette.css sets.
import type { Segment } from "../generated/report";
import labels from "../generated/labels.json";

export type HueName = Segment["hue"];

/** The style that gives an element a role's colour, and that of what is written on it. */
export function hueStyle(hue: HueName): Record<string, string> {
  return { "--hue": `var(--hue-${hue})`, "--on-hue": `var(--on-${hue})` };
}

/** What a legend calls a role. */
export function hueLabel(hue: HueName): string {
  return (labels as Partial<Record<HueName, string>>)[hue] ?? hue;
}
