// The view "Flow": figures of now, charts of the last minutes, sources, errors, processes.

import { $, empty, h, refresh, state, table } from "./dom.js";
import { Chart } from "./charts.js";
import { count, duration, figure, ms, sum, words } from "./format.js";
import { processes } from "./processes.js";

const POINTS = 600;
const COLOURS = ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5"];
const KINDS = {
  rejected: "invalid events", undurable: "events not durable", refused: "requests refused", deadLetters: "events dead-lettered",
};

export class Flow {
  constructor() {
    this.points = [];
    this.charts = [];
  }

  hello({ points, sources }) {
    this.points = points;
    this.sources = sources;
    if (this.charts.length) return this.paint();
    const coloured = sources.map((source, at) => [source, COLOURS[at % COLOURS.length]]);
    this.charts = [
      new Chart("Accepted", "events a second", coloured.map(([name, colour]) =>
        ({ name, colour, fill: true, of: (point) => point.accepted[name] ?? 0 })), figure),
      new Chart("Stored", "events a second", coloured.map(([name, colour]) =>
        ({ name, colour, fill: true, of: (point) => point.stored[name] ?? 0 })), figure),
      new Chart("Backlog", "messages not stored yet", coloured.map(([name, colour]) =>
        ({ name, colour, fill: true, of: (point) => point.backlog[name]?.messages })), figure),
      new Chart("Time to answer", "webhook requests", [
        { name: "half within", colour: "--series-3", of: (point) => point.p50 },
        { name: "99 % within", colour: "--series-4", dash: true, of: (point) => point.p99 },
      ], ms),
    ];
    $("charts").replaceChildren(...this.charts.map((chart) => chart.element));
    this.paint();
  }

  snapshot(data) {
    this.points.push(data.point);
    if (this.points.length > POINTS) this.points.shift();
    this.data = data;
    if (!$("view-flow").hidden) this.paint();
  }

  lost() {
    if (!this.data) refresh($("tiles"));
  }

  open() {
    this.paint();
  }

  repaint() {
    for (const chart of this.charts) chart.repaint();
  }

  paint() {
    if (!this.points.length) return;
    for (const chart of this.charts) chart.paint(this.points);
    if (!this.data) return;
    const { point, replicas } = this.data;
    refresh($("tiles"), this.tiles(point));
    refresh($("sources"), this.bySource(point));
    refresh($("errors"), this.errors());
    refresh($("processes"), processes(replicas));
  }

  tiles(point) {
    const waiting = Object.values(point.backlog);
    const failed = this.points.reduce((total, one) => total + sum(one.errors), 0);
    const oldest = Math.max(0, ...waiting.map((backlog) => backlog.seconds));
    const messages = waiting.reduce((total, backlog) => total + backlog.messages, 0);
    const split = (record) => this.sources.map((name) => h("span", {}, `${name} ${figure(record[name] ?? 0)}`));
    return [
      tile("Accepted", figure(sum(point.accepted)), "/s", split(point.accepted)),
      tile("Stored", figure(sum(point.stored)), "/s", split(point.stored)),
      tile("Backlog", waiting.length ? figure(messages) : "–", waiting.length ? "messages" : "",
        waiting.length ? (messages ? `oldest ${duration(oldest)}` : "nothing waits") : "can't be seen now"),
      tile("99 % answered in", ms(point.p99), "", point.p50 == null ? "no request lately" : `half in ${ms(point.p50)}`),
      tile("In flight", figure(point.inFlight), "", "requests being worked on"),
      tile("Errors", figure(Math.round(failed)), "", "in the last ten minutes", failed >= 1 ? "warn" : null),
    ];
  }

  bySource(point) {
    const columns = [["Source"], ["Accepted/s", "number"], ["Stored/s", "number"], ["Backlog", "number"], ["Oldest", "number"], ["Of its limit", "number"]];
    return table("Rates and backlog by source", columns, this.sources.map((source, at) => {
      const backlog = point.backlog[source];
      return [
        h("span", { class: "source" }, h("span", { class: "swatch", "data-colour": COLOURS[at % COLOURS.length] }), source),
        figure(point.accepted[source] ?? 0), figure(point.stored[source] ?? 0), count(backlog?.messages),
        backlog?.messages ? duration(backlog.seconds) : "–", backlog ? share(backlog.share) : "–",
      ];
    }));
  }

  errors() {
    const totals = new Map();
    for (const point of this.points)
      for (const [name, rate] of Object.entries(point.errors)) totals.set(name, (totals.get(name) ?? 0) + rate);
    const found = [...totals].filter(([, total]) => total >= 0.5).sort((one, other) => other[1] - one[1]);
    if (!found.length) return empty("No event and no request has failed in the last ten minutes.");
    const now = this.points.at(-1).errors;
    return table("Errors of the last ten minutes by reason", [["What"], ["Reason"], ["Now/s", "number"], ["Ten minutes", "number"]],
      found.map(([name, total]) => {
        const [kind, reason] = name.split(".");
        const what = kind === "deadLetters" ? h("a", { href: `#/dead-letters?reason=${reason}` }, KINDS[kind]) : KINDS[kind];
        return [what, words(reason), figure(now[name] ?? 0), count(total)];
      }));
  }
}

function tile(title, value, unit, more, kind) {
  return h("div", { class: "tile", "data-kind": kind }, h("dt", {}, title),
    h("dd", {}, h("span", { class: "value" }, value), unit ? h("span", { class: "unit" }, unit) : null, h("span", { class: "more" }, more)));
}

function share(value) {
  if (value >= 0.8) return state("down", `${Math.round(value * 100)} %`);
  return value >= 0.5 ? state("warn", `${Math.round(value * 100)} %`) : value < 0.001 ? "0 %" : `${(value * 100).toFixed(1)} %`;
}
