import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

export interface Series {
  label: string;
  values: number[];
}

const height = 180;

/** Draws a chart at a place of the page, as wide as that; returns what removes it. */
export function drawChart(
  place: HTMLElement,
  times: number[],
  series: Series[],
  unit: string,
  most: number,
): () => void {
  const style = getComputedStyle(place);
  const colour = (name: string) => style.getPropertyValue(name) || "currentColor";
  const axis = {
    stroke: resolved(place, "var(--muted)"),
    grid: { stroke: resolved(place, "var(--line)"), width: 1 },
    ticks: { stroke: resolved(place, "var(--line)"), width: 1 },
    font: `12px ${colour("--font")}`,
  };
  const plot = new uPlot(
    {
      width: place.clientWidth,
      height,
      cursor: { y: false },
      legend: { show: series.length > 1, live: false },
      scales: { y: { range: (_, __, highest) => [0, Math.max(most, highest)] } },
      axes: [axis, { ...axis, size: 62, values: (_, ticks) => ticks.map((tick) => `${tick} ${unit}`) }],
      series: [
        { label: "Time" },
        ...series.map(({ label }, index) => ({
          label,
          stroke: resolved(place, `var(--series-${index + 1})`),
          width: 1.5,
          points: { show: times.length < 2 },
          value: (_: uPlot, value: number | null) => (value === null ? "–" : `${value.toFixed(2)} ${unit}`),
        })),
      ],
    },
    [times, ...series.map(({ values }) => values)],
    place,
  );
  const observer = new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height }));
  observer.observe(place);
  return () => {
    observer.disconnect();
    plot.destroy();
  };
}

/** A colour of the tokens as a canvas takes it. */
function resolved(place: HTMLElement, value: string): string {
  const probe = document.createElement("span");
  probe.style.color = value;
  place.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
