// Lines over time or over a threshold. The canvas says nothing to a screen reader, so each chart has its
// figures as a table beside it.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { Table } from "./parts.jsx";
import { onTheme } from "./theme.js";

const HEIGHT = 210;
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** At least a minute, so that two points are no century. */
function lastMinutes(_, low, high) {
  const end = high ?? Date.now() / 1000;
  return [Math.min(low ?? end, end - 60), end];
}

function optionsOf(series, { width, unit, isTime, range, format, xFormat }) {
  const axis = {
    stroke: colour("muted"),
    grid: { stroke: colour("line"), width: 1 },
    ticks: { show: false },
  };
  const font = "12px system-ui, sans-serif";
  return {
    width,
    height: HEIGHT,
    scales: { x: { time: isTime, range: isTime ? lastMinutes : undefined }, y: { range } },
    legend: { show: true, live: false },
    cursor: { drag: { x: false, y: false }, points: { show: false } },
    axes: [
      { ...axis, font, space: 80, values: (_, values) => values.map((value) => xFormat(value)) },
      { ...axis, font, size: 58, values: (_, values) => values.map((value) => format(value)), label: unit },
    ],
    series: [
      {},
      ...series.map((one) => ({
        label: one.name,
        stroke: colour(one.colour),
        width: 2,
        dash: one.dashed ? [6, 4] : undefined,
        points: { show: false },
        spanGaps: true,
      })),
    ],
  };
}

/** series: [{name, colour, values}]; x: numbers (seconds when `isTime`). */
export function Lines({
  label,
  x,
  series,
  isTime = true,
  unit,
  range,
  format = String,
  xFormat = String,
  xName,
}) {
  const box = useRef();
  const plot = useRef();
  const newest = useRef();
  newest.current = { x, series };

  useEffect(() => {
    const place = box.current;
    if (!place) return undefined;
    const width = () => Math.max(220, place.clientWidth);
    const draw = () => {
      plot.current?.destroy();
      const { x: points, series: lines } = newest.current;
      const options = optionsOf(lines, { width: width(), unit, isTime, range, format, xFormat });
      plot.current = new uPlot(options, [points, ...lines.map((one) => one.values)], place);
    };
    draw();
    const sized = new ResizeObserver(() => {
      if (width() !== plot.current.width) plot.current.setSize({ width: width(), height: HEIGHT });
    });
    sized.observe(place);
    const forget = onTheme(draw);
    return () => {
      sized.disconnect();
      forget();
      plot.current.destroy();
    };
  }, [series.length]);
  useEffect(() => {
    plot.current?.setData([x, ...series.map((one) => one.values)]);
  }, [x, series]);

  const rows = x.map((at, row) => [xFormat(at), ...series.map((one) => shown(one.values[row], format))]);
  return (
    <figure class="chart">
      <div ref={box} role="img" aria-label={label} />
      <details>
        <summary>Figures as a table</summary>
        <Table
          caption={label}
          columns={[xName, ...series.map((one) => ({ name: one.name, number: true }))]}
          rows={rows.slice(-60)}
          empty="No figures yet."
        />
      </details>
    </figure>
  );
}

const shown = (value, format) => (value == null ? "–" : format(value));
