// The last ten minutes as moving charts (uPlot). Each has its figures beside it, and says itself in words.

import { h } from "./dom.js";
import { clock } from "./format.js";
import { colour } from "./theme.js";

const WINDOW_S = 600;
const LEAST_WINDOW_S = 90; // of a gateway that has just started
const HEIGHT = 170;
const GAP_S = 4; // a hole in the points is drawn as one
const DASH = [5, 4];

/** One chart. `series`: {name, colour, dash, fill, of: point → number|null}; `format` words a value. */
export class Chart {
  constructor(title, unit, series, format) {
    this.title = title;
    this.series = series;
    this.format = format;
    this.at = null; // what the pointer is over
    this.values = series.map(() => h("b", {}, "–"));
    this.plotBox = h("div", { class: "plot", role: "img" });
    this.element = h("figure", { class: "card chart" },
      h("figcaption", {}, h("h2", {}, title, " ", h("small", {}, unit)),
        h("ul", { class: "legend" }, series.map((one, at) => h("li", { "data-dash": Boolean(one.dash) },
          h("span", { class: "swatch", "data-colour": one.colour, "data-dashed": one.dash ? "yes" : "no" }), one.name, " ", this.values[at])))),
      this.plotBox);
    new ResizeObserver(() => this.resize()).observe(this.plotBox);
  }

  paint(points) {
    this.data = columns(points, this.series);
    if (!this.plot) this.make();
    else this.plot.setData(this.data);
    this.legend();
    this.say();
  }

  repaint() {
    this.plot?.destroy();
    this.plot = null;
    if (this.data) this.make();
  }

  make() {
    if (!this.plotBox.clientWidth) return; // its view is hidden: painted when it is shown
    const grid = { stroke: colour("--line"), width: 1 };
    const axis = { stroke: colour("--muted"), grid, ticks: { show: false }, font: "11px Inter, system-ui, sans-serif" };
    this.plot = new uPlot({
      width: this.plotBox.clientWidth,
      height: HEIGHT,
      padding: [8, 24, 0, 0],
      legend: { show: false },
      cursor: { y: false, sync: { key: "flow" }, points: { size: 6 }, drag: { x: false, y: false } },
      scales: { x: { time: true, range: (_plot, low, high) => [high - Math.min(WINDOW_S, Math.max(LEAST_WINDOW_S, high - low)), high] }, y: { range: (_plot, _low, high) => [0, ceiling(high)] } },
      axes: [
        { ...axis, space: 80, size: 26, values: (plot, ticks) => ticks.map((tick) => timeOf(tick, plot.scales.x)) },
        { ...axis, size: 56, space: 34, values: (_plot, ticks) => ticks.map((tick) => this.format(tick)) },
      ],
      series: [{}, ...this.series.map((one) => ({
        stroke: colour(one.colour), width: 1.75, dash: one.dash ? DASH : undefined,
        fill: one.fill ? `color-mix(in srgb, ${colour(one.colour)} 8%, transparent)` : undefined,
        points: { show: false }, spanGaps: false,
      }))],
      hooks: { setCursor: [(plot) => { this.at = plot.cursor.idx; this.legend(); }] },
    }, this.data, this.plotBox);
  }

  resize() {
    const width = this.plotBox.clientWidth;
    if (!this.plot && this.data) this.make();
    else if (this.plot && width && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
  }

  legend() {
    const at = this.at ?? this.data[0].length - 1;
    this.values.forEach((box, index) => { box.textContent = this.format(this.data[index + 1][at] ?? null); });
  }

  /** The chart in words, renewed when somebody may ask for it. */
  say() {
    const said = this.series.map((one, index) => {
      const values = this.data[index + 1].filter((value) => value !== null);
      if (!values.length) return `${one.name}: nothing yet`;
      return `${one.name}: now ${this.format(this.data[index + 1].at(-1))}, highest ${this.format(Math.max(...values))}`;
    });
    const label = `${this.title}, last ten minutes. ${said.join(". ")}.`;
    if (this.plotBox.getAttribute("aria-label") !== label) this.plotBox.setAttribute("aria-label", label);
  }
}

/** Minutes; with seconds while little is shown. */
function timeOf(tick, { min, max }) {
  return max - min < WINDOW_S / 2 ? clock(tick).slice(-8) : clock(tick).slice(-8, -3);
}

function columns(points, series) {
  const found = [[], ...series.map(() => [])];
  let before = null;
  for (const point of points) {
    if (before !== null && point.t - before > GAP_S) {
      found[0].push(before + 1);
      for (const column of found.slice(1)) column.push(null);
    }
    found[0].push(point.t);
    series.forEach((one, at) => found[at + 1].push(one.of(point) ?? null));
    before = point.t;
  }
  return found;
}

/** Room above the highest value; an axis of nothing at all still goes up to something. */
function ceiling(high) {
  return high > 0 ? high * 1.12 : 1;
}
