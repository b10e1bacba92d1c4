// One sentence on how the system is, what it leans on, and since when; and whether the page hears the gateway.

import { $, h, refresh, state } from "./dom.js";
import { clock, figure, sum } from "./format.js";

const QUIET_RATE = 0.05; // events a second
const WORST = ["down", "warn", "unknown", "ok"];

export class Health {
  constructor() {
    this.lostAt = null;
  }

  hello() {
    this.lostAt = null;
    this.contact("ok", "Live");
    document.body.classList.remove("stale");
  }

  snapshot({ checks, point, deadLetters }) {
    const worst = WORST.find((kind) => checks.some((check) => check.state === kind)) ?? "ok";
    const bad = checks.filter((check) => check.state === "down");
    const shaky = checks.filter((check) => check.state === "warn");
    const kind = bad.length ? "down" : shaky.length ? "warn" : "ok";
    const said = bad.length ? sentence(bad) : shaky.length ? sentence(shaky) : calm(point);
    this.headline(kind, said);
    refresh($("checks"), checks.map((check) => h("li", { "data-check": check.name, "data-state": check.state },
      state(check.state, check.title),
      h("span", { class: "detail" }, check.state === "ok" ? check.detail : `${check.detail}, since ${clock(check.since)}`))));
    const badge = $("letters-badge");
    badge.hidden = !deadLetters;
    badge.textContent = deadLetters ? figure(deadLetters) : "";
    document.title = worst === "ok" || kind === "ok" ? "Floodgate" : `${kind === "down" ? "✕" : "!"} ${said} – Floodgate`;
  }

  /** The stream has ended: status 0 where the gateway does not answer, else why it refuses. */
  lost(status, detail) {
    if (status === 401 || status === 403) {
      this.contact("warn", "No permission");
      this.headline("warn", status === 401
        ? "This console asks for a key. Press Key above, and enter one that may read."
        : `This key may not read. ${detail ?? ""}`);
      refresh($("checks"));
    } else {
      this.lostAt ??= Date.now() / 1000;
      const why = detail ? `: ${detail}` : "";
      this.contact("down", "No contact");
      this.headline("down", `No contact with the gateway since ${clock(this.lostAt)}${why}. What is below is from then; trying again…`);
      document.title = "✕ No contact – Floodgate";
    }
    document.body.classList.add("stale");
  }

  contact(kind, text) {
    const box = $("contact");
    box.dataset.state = kind;
    box.textContent = text;
  }

  headline(kind, text) {
    const box = $("headline");
    if (box.textContent === text) return; // a live region is read out at every change
    box.dataset.state = kind;
    box.textContent = text;
  }
}

/** The first trouble in full; NATS before what can't be seen without it. */
function sentence(found) {
  const first = found.find((check) => check.name === "nats") ?? found.find((check) => check.name === "postgres") ?? found[0];
  const named = { nats: "NATS is away", postgres: "PostgreSQL is away" }[first.name];
  const effect = { nats: ": events are refused, and senders try again", postgres: ": events wait in their streams, nothing is lost" }[first.name];
  const what = named ? named + effect : `${first.title}: ${first.detail}`;
  const others = found.filter((check) => check !== first && !(first.name === "nats" && check.name === "intake")).length;
  return `${what}, since ${clock(first.since)}${others ? `; and ${others} more` : ""}`;
}

function calm(point) {
  const moving = sum(point.accepted) + sum(point.stored);
  const waiting = Object.values(point.backlog).some((backlog) => backlog.messages > 0);
  if (moving > QUIET_RATE) return "Events are flowing";
  return waiting ? "All is well, and events wait to be stored" : "All is well, and no events are coming in";
}
