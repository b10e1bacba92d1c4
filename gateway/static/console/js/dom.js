// Elements from code. Text is always text: nothing that was sent to the gateway can become markup.

export const $ = (id) => document.getElementById(id);

/** An element with properties (`class`, `data-…`, `aria-…`, `on…` listeners) and children. */
export function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "value") element.value = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A table with a caption for screen readers. `columns`: [title, class] each; `rows`: arrays of cells or <tr>. */
export function table(caption, columns, rows) {
  const head = columns.map(([title, kind]) => h("th", { scope: "col", class: kind }, title));
  const body = rows.map((row) => (row instanceof HTMLElement ? row : tr(columns, row)));
  return h("table", {}, h("caption", { class: "visually-hidden" }, caption),
    h("thead", {}, h("tr", {}, head)), h("tbody", {}, body));
}

export function tr(columns, cells, properties = {}) {
  return h("tr", properties, cells.map((cell, at) => at === 0
    ? h("th", { scope: "row", class: columns[at][1] }, cell)
    : h("td", { class: columns[at][1], "data-label": columns[at][0] }, cell)));
}

/** What a list shows while it is empty: a sentence, and where there is one, what to do. */
export function empty(text, ...more) {
  return h("div", { class: "empty" }, h("p", {}, text), ...more);
}

/** A state in colour, shape and words. */
export function state(kind, text) {
  return h("span", { class: "state", "data-state": kind }, text);
}

/** Replace the children only where the text has changed, so that selections and screen readers are left alone. */
export function refresh(element, ...children) {
  const next = h("div", {}, ...children);
  if (element.innerHTML !== next.innerHTML) element.replaceChildren(...next.childNodes);
}

/** On a narrow page what was chosen stands below the list it was chosen from: go there. */
export function bringIntoView(element) {
  if (matchMedia("(max-width: 860px)").matches) element.scrollIntoView({ block: "start" });
}

/** What is wider than its place can be scrolled by keyboard too: it takes the focus, by the name of its card. */
export function mindScrolling() {
  for (const box of document.querySelectorAll(".scroll")) {
    if (box.scrollWidth <= box.clientWidth && box.scrollHeight <= box.clientHeight) {
      for (const name of ["tabindex", "role", "aria-labelledby"]) box.removeAttribute(name);
      continue;
    }
    box.tabIndex = 0;
    box.setAttribute("role", "group");
    box.setAttribute("aria-labelledby", box.closest("[aria-labelledby]:not(.scroll)").getAttribute("aria-labelledby"));
  }
}

let noticeTimer = 0;

/** A sentence about what was just done, for all to see and hear. */
export function notice(text, kind = "ok") {
  const box = $("notice");
  box.dataset.state = kind;
  box.textContent = text;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => { box.textContent = ""; }, kind === "ok" ? 6000 : 15000);
}
