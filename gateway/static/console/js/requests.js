// The view "Requests": the latest ones as they are answered, and the receipt of any.

import { $, bringIntoView, empty, h, notice, state, table, tr } from "./dom.js";
import { Receipt } from "./receipt.js";
import { clock, count, ms, sum, words } from "./format.js";

const SHOWN = 60;
const COLUMNS = [["Correlation id", "id"], ["At"], ["Status"], ["Accepted", "number"], ["Failed", "number"], ["Took", "number"]];

export class Requests {
  constructor() {
    this.waiting = [];
    this.isHeld = false;
    this.receipt = new Receipt($("receipt"));
    $("find").addEventListener("submit", (event) => {
      event.preventDefault();
      const id = $("find-id").value.trim();
      if (id) location.hash = `#/requests/${encodeURIComponent(id)}`;
      else notice("Enter a correlation id first", "warn");
    });
    // A list that moves under the pointer can't be read or clicked: it waits while somebody is in it.
    for (const event of ["pointerenter", "focusin"]) $("latest").addEventListener(event, () => this.hold(true));
    for (const event of ["pointerleave", "focusout"]) $("latest").addEventListener(event, () => this.hold(false));
  }

  hello({ requests }) {
    this.waiting = [];
    this.rows = null; // after a reconnection the history holds all that was missed
    if (!requests.length) {
      $("latest").replaceChildren(empty("No request has come since this gateway started.", h("a", { href: "#/test", class: "button" }, "Send a test event")));
      return;
    }
    this.add(requests);
  }

  snapshot({ requests }) {
    this.waiting.push(...requests);
    this.waiting.splice(0, this.waiting.length - SHOWN);
    this.flush();
  }

  open(id) {
    $("find-id").value = id;
    this.id = id;
    this.receipt.show(id);
    if (id) bringIntoView($("receipt"));
    this.mark();
  }

  hold(isHeld) {
    this.isHeld = isHeld;
    this.flush();
  }

  flush() {
    if (!this.isHeld && this.waiting.length) this.add(this.waiting.splice(0));
    $("latest-note").textContent = this.isHeld && this.waiting.length
      ? `${count(this.waiting.length)} more came; the list waits while you are in it` : "of all gateways, newest first";
  }

  add(requests) {
    if (!this.rows) {
      const shown = table("Latest webhook requests, newest first", COLUMNS, []);
      this.rows = shown.querySelector("tbody");
      $("latest").replaceChildren(shown);
    }
    this.rows.prepend(...requests.map(row).reverse());
    while (this.rows.children.length > SHOWN) this.rows.lastChild.remove();
    this.mark();
  }

  mark() {
    for (const link of this.rows?.querySelectorAll("a") ?? []) {
      if (link.textContent === this.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }
}

function row(request) {
  const kind = request.status < 300 ? "ok" : request.status < 500 ? "warn" : "down";
  const why = request.reason ? ` ${words(request.reason)}` : "";
  return tr(COLUMNS, [
    h("a", { href: `#/requests/${encodeURIComponent(request.correlationId)}` }, request.correlationId),
    clock(request.at), state(kind, `${request.status}${why}`), count(sum(request.processed)), count(request.failed), ms(request.ms),
  ]);
}
