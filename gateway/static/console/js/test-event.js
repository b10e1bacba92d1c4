// The view "Test event": an event of any platform, sent as a platform would, and followed to its row.

import { $, bringIntoView, h, state } from "./dom.js";
import { explain, get, postText } from "./api.js";
import { ms } from "./format.js";

const POLL_MS = 100;
const GIVE_UP_MS = 60_000;

export class TestEvent {
  constructor() {
    this.select = h("select", { id: "test-kind", onchange: () => this.fresh() });
    this.text = h("textarea", { id: "test-body", rows: "18", spellcheck: "false", autocomplete: "off" });
    this.button = h("button", { type: "submit", class: "primary" }, "Send it");
    $("test-form").append(
      h("div", { class: "row" }, h("label", { for: "test-kind" }, "Example"), this.select,
        h("button", { type: "button", onclick: () => this.fresh() }, "New id and time")),
      h("label", { for: "test-body" }, "Event, as JSON"), this.text, h("div", { class: "buttons" }, this.button));
    $("test-form").addEventListener("submit", (event) => { event.preventDefault(); this.send(); });
    this.steps([["unknown", "Not sent yet", "Sent, durable, stored: each with its time"]]);
  }

  async open() {
    if (!this.select.options.length) await this.fresh();
  }

  async fresh() {
    try {
      const { examples } = await get("console/examples");
      const chosen = Math.max(0, this.select.selectedIndex);
      this.select.replaceChildren(...examples.map(({ source, stage, event }) => h("option", {}, `${source}, ${stage} of the funnel (${event.eventType})`)));
      this.select.selectedIndex = chosen;
      this.text.value = JSON.stringify(examples[chosen].event, null, 2);
    } catch (problem) {
      this.steps([["down", "No examples", explain(problem)]]);
    }
  }

  async send() {
    this.button.disabled = true;
    this.steps([["unknown", "Sending", ""]]);
    bringIntoView($("way").closest(".card"));
    try {
      await this.follow();
    } catch (problem) {
      this.steps([["down", "Not sent", explain(problem)]]);
    } finally {
      this.button.disabled = false;
    }
  }

  async follow() {
    const started = performance.now();
    const { status, body, correlationId } = await postText("webhook/events", this.text.value);
    const answered = performance.now() - started;
    if (status !== 200) {
      const why = status === 401 ? explain({ status }) : (body.errors ?? []).join("; ") || body.detail;
      return this.steps([["down", `Refused (${status})`, why]]);
    }
    const receipt = h("a", { href: `#/requests/${encodeURIComponent(correlationId)}` }, correlationId);
    const taken = ["ok", `Durable after ${ms(answered)}`, h("span", {}, "On the broker's disk; correlation id ", receipt)];
    this.steps([taken, ["unknown", "On its way to the table", ""]]);
    while (performance.now() - started < GIVE_UP_MS) {
      const found = await get(`webhook/events/bulk/${encodeURIComponent(correlationId)}`).catch((problem) => ({ problem }));
      if (found.complete) return this.steps([taken, outcome(found, performance.now() - started)]);
      if (found.problem) this.steps([taken, ["warn", "Its receipt can't be read now", explain(found.problem)]]);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    this.steps([taken, ["warn", "Not stored within a minute", "It waits in its stream, and will be stored; Flow says what is in the way."]]);
  }

  steps(steps) {
    $("way").replaceChildren(...steps.map(([kind, title, more]) => h("li", {}, state(kind, title), h("span", { class: "detail" }, more))));
  }
}

function outcome(found, milliseconds) {
  const [source] = Object.keys(found.bySource);
  if (found.deadLettered) return ["warn", `Dead-lettered after ${ms(milliseconds)}`, h("a", { href: `#/dead-letters?correlationId=${encodeURIComponent(found.correlationId)}` }, "Look at it")];
  if (found.duplicates) return ["ok", `Known already, seen after ${ms(milliseconds)}`, "An event with this id was stored before; it is there once"];
  return ["ok", `Stored after ${ms(milliseconds)}`, `A row in the table events, source ${source}`];
}
