// A receipt: what has become of the events of a correlation id. It is asked again until nothing is pending.

import { empty, h, state, table } from "./dom.js";
import { explain, get } from "./api.js";
import { count, plural } from "./format.js";

const AGAIN_MS = 1000;
const PARTS = [["stored", "stored"], ["duplicates", "duplicate"], ["deadLettered", "dead-lettered"], ["pending", "pending"]];

export class Receipt {
  constructor(box) {
    this.box = box;
    this.timer = 0;
    this.show("");
  }

  async show(id) {
    clearTimeout(this.timer);
    this.id = id;
    if (!id) return this.fill(empty("Choose a request, or enter a correlation id, to see what became of its events."));
    let found;
    try {
      found = await get(`webhook/events/bulk/${encodeURIComponent(id)}`);
    } catch (problem) {
      if (this.id !== id) return;
      if (problem.status === 503 || problem.status === 0) this.timer = setTimeout(() => this.show(id), 3 * AGAIN_MS);
      return this.fill(empty(problem.status === 404
        ? "Nothing is known of this correlation id. Receipts are kept for some days, and a request that was refused has none."
        : explain(problem)));
    }
    if (this.id !== id) return; // another one was chosen meanwhile
    this.fill(...body(found));
    if (!found.complete) this.timer = setTimeout(() => this.show(id), AGAIN_MS);
  }

  fill(...content) {
    this.box.replaceChildren(h("h2", { id: "receipt-title" }, "Receipt", this.id ? h("code", { class: "id" }, this.id) : null), ...content);
  }
}

function body(found) {
  const columns = [["Source"], ["Accepted", "number"], ...PARTS.map(([, name]) => [name[0].toUpperCase() + name.slice(1), "number"])];
  const cells = (name, line) => [name, count(line.accepted), ...PARTS.map(([part]) => count(line[part]))];
  const sources = Object.entries(found.bySource).map(([source, line]) => cells(source, line));
  const rows = sources.length > 1 ? [...sources, cells("all", found)] : sources;
  return [
    h("p", { class: "verdict" }, found.complete
      ? state(found.deadLettered ? "warn" : "ok", found.deadLettered ? "Complete, with dead letters" : "Complete: every accepted event has its outcome")
      : state("unknown", `${plural(found.pending, "event")} still on the way`)),
    bar(found),
    h("div", { class: "scroll" }, table("What became of the events", columns, rows)),
    h("p", { class: "note" }, `${plural(found.requests, "bulk request")} of this id`,
      found.failed ? `, ${plural(found.failed, "event")} refused as invalid` : "",
      found.replayed ? `, ${plural(found.replayed, "event")} put through again` : ""),
    found.deadLettered ? h("p", {}, h("a", { class: "button", href: `#/dead-letters?correlationId=${encodeURIComponent(found.correlationId)}` }, "Look at its dead letters")) : null,
  ].filter(Boolean);
}

/** The parts of all accepted events, as long as they are many; the table below says the same in figures. */
function bar(found) {
  if (!found.accepted) return null;
  const parts = PARTS.filter(([part]) => found[part] > 0).map(([part, name]) => {
    const piece = h("span", { class: "part", "data-part": part, title: `${count(found[part])} ${name}` });
    piece.style.flexGrow = String(found[part]);
    return piece;
  });
  return h("div", { class: "parts", "aria-hidden": "true" }, parts);
}
