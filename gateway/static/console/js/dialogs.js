// The one dialog of the page: a question before something is done, a key, the shortcuts.

import { $, h } from "./dom.js";

/** Shows content in the modal dialog; resolves to what it was closed with. The browser keeps the focus inside. */
export function open(title, content, buttons) {
  const dialog = $("dialog");
  const close = (value) => () => dialog.close(value);
  dialog.replaceChildren(
    h("h2", { id: "dialog-title" }, title), ...content,
    h("div", { class: "buttons" }, buttons.map(({ text, value, kind }) =>
      h("button", { type: "button", class: kind, onclick: close(value) }, text))));
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true }));
}

/** Asks; true where the answer is yes. The safe answer has the focus. */
export async function confirmed(title, lines, yes, kind = "primary") {
  const content = lines.map((line) => (typeof line === "string" ? h("p", {}, line) : line));
  return await open(title, content, [{ text: "Cancel", value: "no" }, { text: yes, value: "yes", kind }]) === "yes";
}

/** Asks for a key; the text, empty to forget the one there is, or null where it was left alone. */
export async function askKey(hasKey) {
  const input = h("input", { id: "key-input", type: "password", autocomplete: "off", spellcheck: "false" });
  input.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); $("dialog").close("use"); } });
  const answer = open("Key", [
    h("p", {}, "Where the gateway asks who you are, enter a key with the scope ", h("code", {}, "read"), " to look, and ",
      h("code", {}, "admin"), " to act. It stays in this tab, and is forgotten when the tab is closed."),
    h("label", { for: "key-input" }, "Key"), input,
  ], [
    { text: "Cancel", value: "no" },
    ...(hasKey ? [{ text: "Forget the key", value: "forget" }] : []),
    { text: "Use this key", value: "use", kind: "primary" },
  ]);
  input.focus();
  const value = await answer;
  return value === "use" ? input.value.trim() : value === "forget" ? "" : null;
}
