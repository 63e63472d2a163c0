import { hueLabel, hueStyle, type HueName } from "./hue";

/** Which colour stands for what, once for everything below it. */
export function Legend({ hues }: { hues: readonly HueName[] }) {
  return (
    <ul class="legend">
      {hues.map((hue) => (
        <li key={hue}>
          <span class="swatch" data-hue={hue} style={hueStyle(hue)} />
          {hueLabel(hue)}
        </li>
      ))}
    </ul>
  );
}
