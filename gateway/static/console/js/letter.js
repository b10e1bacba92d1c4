// One dead letter: its event beside the error, to be edited, replayed or dropped.

import { bringIntoView, empty, h, notice } from "./dom.js";
import { explain, get, post } from "./api.js";
import { dropOne } from "./letter-actions.js";
import { bytes, clock, words } from "./format.js";

export class Letter {
  /** `changed` is called when the letter is no longer there. */
  constructor(box, changed) {
    this.box = box;
    this.changed = changed;
    this.close();
  }

  close() {
    this.seq = null;
    this.box.replaceChildren(h("h2", { id: "letter-title" }, "Event"), empty("Choose a dead letter to see its event beside the error."));
  }

  async show(seq) {
    if (this.seq === seq && this.text) return; // it may be half edited
    this.seq = seq;
    this.text = null;
    try {
      const letter = await get(`console/dead-letters/${seq}`);
      if (this.seq !== seq) return;
      this.paint(letter);
      bringIntoView(this.box);
    } catch (problem) {
      if (this.seq === seq) this.box.replaceChildren(h("h2", { id: "letter-title" }, `Dead letter ${seq}`), empty(explain(problem)));
    }
  }

  paint(letter) {
    this.original = pretty(letter);
    const isText = letter.bodyEncoding === "utf-8";
    this.text = h("textarea", { id: "letter-body", rows: "18", spellcheck: "false", readonly: !isText, oninput: () => this.edited() });
    this.text.value = this.original;
    this.button = h("button", { type: "button", class: "primary", onclick: () => this.replay() }, "Replay as it is");
    this.reset = h("button", { type: "button", hidden: true, onclick: () => { this.text.value = this.original; this.edited(); } }, "Undo the edit");
    this.problems = h("p", { class: "problem", role: "alert" });
    const facts = [
      ["Parked", clock(Date.parse(letter.parkedAt) / 1000)], ["Source", letter.source], ["Reason", words(letter.reason)],
      ["Came from", letter.stream ? `${letter.stream}, message ${letter.streamSeq}, place ${letter.index}` : "a foreign publisher"],
      ["Holds", letter.holds === "message" ? `a whole message of ${letter.events} events` : `an event of ${bytes(letter.bytes)}`],
      ["Deliveries", letter.attempts ?? "unknown"],
    ];
    this.box.replaceChildren(
      h("h2", { id: "letter-title" }, `Dead letter ${letter.seq}`),
      h("div", { class: "error", role: "note" }, h("b", {}, words(letter.reason)), h("span", {}, letter.error || "No error was told.")),
      h("dl", { class: "facts" }, facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))]),
        h("dt", {}, "Request"), h("dd", {}, requests(letter.correlationId))),
      h("label", { for: "letter-body" }, isText ? "Event, as it was sent; edit it to replay it mended" : "Body, in base64: it is not text"),
      this.text, this.problems,
      h("div", { class: "buttons" }, this.button, this.reset,
        h("button", { type: "button", class: "danger", onclick: () => this.drop() }, "Drop…")));
  }

  get isEdited() {
    return this.text.value !== this.original;
  }

  edited() {
    this.button.textContent = this.isEdited ? "Replay as edited" : "Replay as it is";
    this.reset.hidden = !this.isEdited;
    this.problems.textContent = "";
  }

  async replay() {
    this.button.disabled = true;
    this.problems.textContent = "";
    try {
      await post(`console/dead-letters/${this.seq}/replay`, this.isEdited ? { body: this.text.value } : {});
      notice(`Dead letter ${this.seq} was put through again; its receipt says what becomes of it`);
      this.gone();
    } catch (problem) {
      this.problems.textContent = problem.status === 422 ? `Still invalid, and kept: ${problem.message}` : explain(problem);
    } finally {
      this.button.disabled = false;
    }
  }

  async drop() {
    if (await dropOne(this.seq)) this.gone();
  }

  gone() {
    const query = location.hash.split("?")[1];
    this.close();
    this.changed();
    location.hash = `#/dead-letters${query ? `?${query}` : ""}`;
  }
}

/** Indented, where that loses nothing: a long number or a key that is there twice is shown as it was sent. */
function pretty({ body }) {
  try {
    const indented = JSON.stringify(JSON.parse(body), null, 2);
    return bare(indented) === bare(body) ? indented : body;
  } catch {
    return body;
  }
}

const bare = (text) => text.replace(/\s/g, "");

function requests(correlationId) {
  const ids = correlationId.split(" ");
  return ids.length > 3 ? `${ids.length} requests` : ids.flatMap((id) => [h("a", { href: `#/requests/${encodeURIComponent(id)}` }, id), " "]);
}
