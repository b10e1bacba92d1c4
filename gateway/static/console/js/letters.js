// The view "Dead letters": choose by a filter, look at one, act on one or on all of the filter.

import { $, empty, h, refresh, table, tr } from "./dom.js";
import { explain, get } from "./api.js";
import { Letter } from "./letter.js";
import { dropAll, replayAll } from "./letter-actions.js";
import { clock, plural, words } from "./format.js";

const COLUMNS = [["Parked", "id"], ["Source"], ["Reason"], ["Error", "wide"]];

export class Letters {
  constructor() {
    this.sources = [];
    this.reasons = [];
    this.known = null;
    this.letter = new Letter($("letter"), () => this.load());
    $("letters-filter").addEventListener("submit", (event) => { event.preventDefault(); this.apply(); });
    $("letters-filter").addEventListener("change", () => this.apply());
    this.form();
  }

  hello({ sources, deadLetterReasons }) {
    this.sources = sources;
    this.reasons = deadLetterReasons;
    this.form();
  }

  /** Letters came or went elsewhere: the list is renewed, unless somebody reads an older page of it. */
  snapshot({ deadLetters }) {
    const changed = this.known !== null && deadLetters !== null && deadLetters !== this.known;
    if (deadLetters !== null) this.known = deadLetters;
    if (changed && !$("view-dead-letters").hidden && !this.isPaged) this.load();
  }

  /** `seq` is what stands after #/dead-letters/; the filter stands after `?`. */
  open(seq) {
    this.filter = Object.fromEntries(new URLSearchParams(location.hash.split("?")[1] ?? ""));
    this.seq = /^\d+$/.test(seq) ? Number(seq) : null;
    this.form();
    this.load();
    if (this.seq !== null) this.letter.show(this.seq);
    else this.letter.close();
  }

  form() {
    const { source = "", reason = "", since = "", correlationId = "" } = this.filter ?? {};
    const option = (value, text, chosen) => {
      const element = h("option", { value }, text);
      element.selected = value === chosen;
      return element;
    };
    const field = (name, title, input) => h("div", { class: "field" }, h("label", { for: `letters-${name}` }, title), input);
    $("letters-filter").replaceChildren(
      field("source", "Source", h("select", { id: "letters-source", name: "source" }, option("", "all", source), this.sources.map((one) => option(one, one, source)))),
      field("reason", "Reason", h("select", { id: "letters-reason", name: "reason" }, option("", "all", reason), this.reasons.map((one) => option(one, words(one), reason)))),
      field("since", "Parked since", h("input", { id: "letters-since", name: "since", type: "datetime-local", value: since.slice(0, 16) })),
      field("correlationId", "Correlation id", h("input", { id: "letters-correlationId", name: "correlationId", type: "search", value: correlationId, spellcheck: "false", autocomplete: "off" })),
      h("button", { type: "submit", class: "visually-hidden" }, "Filter"));
  }

  apply() {
    const wanted = [...new FormData($("letters-filter"))].filter(([, value]) => value);
    location.hash = `#/dead-letters${wanted.length ? `?${new URLSearchParams(wanted)}` : ""}`;
  }

  get query() {
    const { since, ...others } = this.filter;
    return since ? { ...others, since: new Date(since).toISOString() } : others;
  }

  /** Asks for a page; `before` is the newest sequence on it, for older ones. */
  async load(before = null) {
    const asked = this.asked = Symbol("the newest question wins");
    this.isPaged = before !== null;
    const query = new URLSearchParams({ ...this.query, ...(before === null ? {} : { before }) });
    try {
      const page = await get(`console/dead-letters?${query}`);
      if (asked !== this.asked) return;
      this.known = page.total;
      this.paint(page, before);
    } catch (problem) {
      if (asked !== this.asked) return;
      refresh($("letters-bar"));
      $("letters").replaceChildren(empty(explain(problem), h("button", { type: "button", onclick: () => this.load() }, "Try again")));
    }
  }

  paint({ letters, before, total }, start) {
    const isFiltered = Object.keys(this.filter).length > 0;
    this.bar(total, isFiltered);
    const older = before !== null && h("button", { type: "button", onclick: () => this.load(before) }, "Older ones");
    const newest = start !== null && h("button", { type: "button", onclick: () => this.load() }, "Back to the newest");
    const pager = older || newest ? h("div", { class: "buttons" }, newest, older) : null;
    if (!letters.length) {
      const text = !total ? "No dead letters: every accepted event could be stored."
        : before !== null ? "None of this filter among the newest ones." : "No dead letter fits this filter.";
      $("letters").replaceChildren(empty(text, isFiltered && total ? h("a", { class: "button", href: "#/dead-letters" }, "Show all") : null, pager));
      return;
    }
    const query = location.hash.split("?")[1];
    $("letters").replaceChildren(table("Dead letters, newest first", COLUMNS, letters.map((one) => tr(COLUMNS, [
      h("a", { href: `#/dead-letters/${one.seq}${query ? `?${query}` : ""}`, "aria-current": one.seq === this.seq ? "true" : null }, clock(Date.parse(one.parkedAt) / 1000)),
      one.source, words(one.reason), h("span", { class: "clip" }, one.error),
    ]))), ...(pager ? [pager] : []));
  }

  bar(total, isFiltered) {
    const what = isFiltered ? "all of this filter" : "all";
    $("letters-bar").replaceChildren(
      h("span", {}, `${plural(total, "dead letter")} in all`),
      total > 0 && h("button", { type: "button", onclick: () => this.act(replayAll) }, `Replay ${what}…`),
      total > 0 && h("button", { type: "button", class: "danger", onclick: () => this.act(dropAll) }, `Drop ${what}…`),
      isFiltered && h("a", { href: "#/dead-letters" }, "Clear the filter"));
    for (const child of [...$("letters-bar").childNodes]) if (child.nodeType === Node.TEXT_NODE) child.remove();
  }

  async act(action) {
    if (await action(this.query)) this.letter.close();
    this.load();
  }
}

