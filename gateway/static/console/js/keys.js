// Single-key shortcuts. They are off while something is typed, and can be switched off for good.

import { $, h } from "./dom.js";
import { open } from "./dialogs.js";

const OFF = "floodgate-shortcuts-off";
const LIST = [
  ["1", "Flow"], ["2", "Requests"], ["3", "Dead letters"], ["4", "Test event"],
  ["/", "Find a correlation id"], ["t", "Change the theme"], ["k", "Enter a key"], ["?", "This list"], ["Esc", "Close a dialog"],
];

export function listen(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.key === "?" && !isTyping(event)) { event.preventDefault(); help(); return; }
    const action = actions[event.key];
    if (!action || isTyping(event) || areOff()) return;
    event.preventDefault();
    action();
  });
  $("help-button").addEventListener("click", help);
}

function isTyping(event) {
  return event.ctrlKey || event.metaKey || event.altKey || $("dialog").open
    || event.target.closest?.("input, textarea, select, [contenteditable]");
}

function areOff() {
  try { return localStorage.getItem(OFF) === "yes"; } catch { return false; }
}

function help() {
  if ($("dialog").open) return;
  const toggle = h("input", { type: "checkbox", id: "shortcuts-on", onchange: (event) => {
    try { localStorage.setItem(OFF, event.target.checked ? "no" : "yes"); } catch { /* for this visit only, then */ }
  } });
  toggle.checked = !areOff();
  open("Keyboard shortcuts", [
    h("dl", { class: "keys" }, LIST.map(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)]).flat()),
    h("p", {}, "Everything can also be reached with Tab, and done with Enter or Space."),
    h("label", { class: "check" }, toggle, " Shortcuts of a single key are on"),
  ], [{ text: "Close", value: "", kind: "primary" }]);
}
