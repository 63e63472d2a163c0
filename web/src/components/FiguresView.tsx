import type { Figure } from "../generated/report";

/** Numbers in a row, each over what it is. */
export function FiguresView({ figures, small = false }: { figures: readonly Figure[]; small?: boolean }) {
  return (
    <dl class={small ? "figures small" : "figures"}>
      {figures.map((figure) => (
        <div class="figure" key={figure.name}>
          <dt>{figure.label}</dt>
          <dd>
            <strong data-figure={figure.name}>{figure.text}</strong> <span>{figure.unit}</span>
            {figure.span && <span class="span">{figure.span}</span>}
          </dd>
        </div>
      ))}
    </dl>
  );
}
