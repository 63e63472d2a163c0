import type { CheckedRow, CheckedTable } from "../generated/report";

function Pair({ row, scale }: { row: CheckedRow; scale: number }) {
  const width = (value: number | null) => ({ width: `${(100 * (value ?? 0)) / scale}%` });
  return (
    <span class="pair" aria-hidden="true">
      <i style={width(row.predicted)} />
      <b style={width(row.actual)} />
    </span>
  );
}

/** Figures of a run beside their predictions. */
export function CheckedView({ table }: { table: CheckedTable }) {
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label={`${table.title}, a table`}>
      <table class="figures-table">
        <thead>
          <tr>
            <th scope="col">memory</th>
            <th scope="col" class="words">
              predicted over actual
            </th>
            <th scope="col">predicted</th>
            <th scope="col">actual</th>
            <th scope="col">difference</th>
          </tr>
        </thead>
        <tbody>
          {table.rows.map((row) => (
            <tr key={`${row.place} ${row.column}`}>
              <th scope="row">
                {row.place}, {row.column}
                {row.remark && <span class="standing">{row.remark}</span>}
              </th>
              <td class="words wide">
                <Pair row={row} scale={table.scale} />
              </td>
              <td>{row.predicted_text}</td>
              <td>{row.actual_text}</td>
              <td data-state={row.state}>{row.difference}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
