import type { LayerColumn, LayerMap } from "../generated/report";
import { Legend } from "./Legend";
import { hueLabel, type HueName } from "./hue";

// Units of the drawing, which is stretched to the width there is: a column is one wide.
const LANE = 11;
const GAP = 2;
const TICK = 10;

/** Where every layer lies: devices from top to bottom, layers from left to right; then the same as a table. */
export function LayerMapView({ map }: { map: LayerMap }) {
  const last = map.columns.length - 1;
  const ticks = map.columns.map((column, at) => ({ name: column.name, at }));
  const shown = ticks.filter(({ name, at }) => at === 0 || at === last || Number(name) % TICK === 0);
  return (
    <>
      <figure class="layer-map" aria-hidden="true">
        <Legend hues={[...map.lanes, "embedding"]} />
        {map.devices.map((device) => (
          <div class="device" key={device}>
            <span class="name">{device}</span>
            <Band map={map} device={device} />
          </div>
        ))}
        <div class="device">
          <span />
          <div class="axis">
            {shown
              .filter(({ at }) => at === 0 || at === last || (at > TICK / 2 && at < last - TICK / 2))
              .map(({ name, at }) => (
                <span key={at} style={{ left: `${(100 * (at + 0.5)) / map.columns.length}%` }}>
                  {name}
                </span>
              ))}
          </div>
        </div>
      </figure>
      <LayerTable map={map} />
    </>
  );
}

function Band({ map, device }: { map: LayerMap; device: string }) {
  const height = map.lanes.length * (LANE + GAP) + GAP;
  return (
    <svg viewBox={`0 0 ${map.columns.length} ${height}`} height={height} preserveAspectRatio="none">
      {map.columns.map((column, at) => (
        <Column key={column.name} column={column} at={at} device={device} lanes={map.lanes} height={height} />
      ))}
    </svg>
  );
}

interface ColumnProps {
  column: LayerColumn;
  at: number;
  device: string;
  lanes: readonly HueName[];
  height: number;
}

function Column({ column, at, device, lanes, height }: ColumnProps) {
  const pieces = column.pieces.filter((piece) => piece.device === device);
  return (
    <g>
      <title>{`${column.name}: ${pieces.map((piece) => `${hueLabel(piece.hue)} ${piece.text}`).join(", ")}`}</title>
      {pieces.map((piece) => {
        const lane = lanes.indexOf(piece.hue);
        const [top, room] = lane < 0 ? [GAP, height - 2 * GAP] : [GAP + lane * (LANE + GAP), LANE];
        const tall = room * piece.share;
        const style = { fill: `var(--hue-${piece.hue})` };
        return <rect key={piece.hue} x={at + 0.08} y={top + room - tall} width={0.84} height={tall} style={style} />;
      })}
    </g>
  );
}

function LayerTable({ map }: { map: LayerMap }) {
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label="Layers as a table">
      <table class="figures-table">
        <thead>
          <tr>
            <th scope="col">layers</th>
            {map.lanes.map((lane) => (
              <th scope="col" class="words" key={lane}>
                {hueLabel(lane)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {map.runs.map((run) => (
            <tr key={run.span}>
              <th scope="row">
                {run.span}
                {run.is_split && <span class="standing">divided within the layer</span>}
              </th>
              {run.places.map((place, at) => (
                <td class="words" key={map.lanes[at]} colSpan={run.places.length === 1 ? map.lanes.length : 1}>
                  {place}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
