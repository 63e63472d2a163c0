import type { Figure, RivalRow, RivalTable } from "../generated/report";
import { CopyButton } from "./CommandView";

function Cell({ figure, scale, name }: { figure: Figure | null; scale: number; name: string }) {
  if (!figure) return <td>–</td>;
  const at = (value: number) => `${(100 * value) / scale}%`;
  const { low, high } = figure;
  return (
    <td>
      <span data-figure={`${name}.${figure.name}`}>{figure.text}</span>
      <span class="inline" aria-hidden="true" title={figure.span}>
        <i style={{ width: at(figure.value) }} />
        {low !== null && high !== null && <b style={{ left: at(low), width: at(high - low) }} />}
      </span>
    </td>
  );
}

function Row({ row, table }: { row: RivalRow; table: RivalTable }) {
  return (
    <tr class={row.is_plan ? "own" : undefined}>
      <th scope="row">
        {row.name}
        <span class="standing" data-state={row.state}>
          {row.standing}
        </span>
        {row.memory && <span class="standing">{row.memory}</span>}
      </th>
      {row.figures.map((figure, at) => (
        <Cell key={table.heads[at]} figure={figure} scale={table.scales[at] ?? 1} name={row.name} />
      ))}
      <td>
        <CopyButton line={row.command.line}>Copy</CopyButton>
      </td>
    </tr>
  );
}

/** Ways to run it side by side: figures with bars, and the line from low to high. */
export function RivalsView({ table }: { table: RivalTable }) {
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label={`${table.title}, a table`}>
      <table class="figures-table rivals">
        <thead>
          <tr>
            <th scope="col">way to run it</th>
            {table.heads.map((head) => (
              <th scope="col" key={head}>
                {head}
              </th>
            ))}
            <th scope="col">command</th>
          </tr>
        </thead>
        <tbody>
          {table.rows.map((row) => (
            <Row key={row.name} row={row} table={table} />
          ))}
        </tbody>
      </table>
    </div>
  );
}
