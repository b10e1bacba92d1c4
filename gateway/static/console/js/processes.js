// Every gateway and collector: what it is doing, how much, and what it has to do with.

import { empty, h, state, table } from "./dom.js";
import { bytes, clock, count, duration, figure, ms, plural, sum, words } from "./format.js";

const STATES = {
  serving: "ok", idle: "ok", fetching: "ok", storing: "ok",
  starting: "warn", draining: "warn", backlog: "down", not_connected: "down", held: "down", silent: "down",
};
const COLUMNS = [["Process"], ["Doing", "wide"], ["Now/s", "number"], ["Last work", "wide"], ["Since its start", "wide"], ["PostgreSQL"], ["Up", "number"]];

export function processes(replicas) {
  if (!replicas.length) return empty("No process has been heard yet. Each tells of itself once a second, over NATS.");
  return table("Gateways and collectors", COLUMNS, replicas.map((one) => [
    h("span", { class: "process" }, h("b", {}, one.source ? `collector ${one.source}` : one.role),
      h("small", {}, `${one.host}, process ${one.pid}`)),
    h("span", {}, state(STATES[one.state] ?? "unknown", words(one.state)), one.reason ? h("small", { class: "reason" }, one.reason) : null),
    figure(one.perSecond),
    one.role === "gateway" ? gatewayNow(one) : flushed(one.lastFlush),
    one.role === "gateway" ? accepted(one.totals) : settled(one.totals),
    postgres(one),
    h("span", { title: `since ${clock(one.startedAt)}, version ${one.version}` }, duration(Math.round(Date.now() / 60_000) * 60 - Math.round(one.startedAt / 60) * 60)),
  ]));
}

function gatewayNow(one) {
  return one.inFlight ? `${count(one.inFlight)} in flight, ${bytes(one.heldBytes)}` : "nothing in flight";
}

function flushed(flush) {
  if (!flush) return "none yet";
  return `${count(flush.events)} events in ${ms(flush.ms)}, ${flush.agoS < 2 ? "just now" : `${duration(Math.floor(flush.agoS))} ago`}`;
}

function accepted(totals) {
  const refused = sum(totals.refused);
  return `${count(sum(totals.accepted))} accepted, ${count(sum(totals.rejected))} invalid${refused ? `, ${plural(refused, "request")} refused` : ""}`;
}

function settled({ settled: found }) {
  return `${count(found.stored ?? 0)} stored, ${count(found.duplicate ?? 0)} duplicate, ${count(found.dead_lettered ?? 0)} dead-lettered`;
}

function postgres({ postgres: works, pool }) {
  if (!pool) return "";
  const used = pool.size - pool.idle;
  const open = `${used} of ${pool.most} in use`;
  if (works === false) return state("down", "away");
  return works === null ? h("small", {}, "not used yet") : h("span", {}, state("ok", "works"), h("small", { class: "reason" }, open));
}
