// Light, dark, or as the system has it; kept for the next visit.

const NEXT = { auto: "light", light: "dark", dark: "auto" };

export class Theme {
  constructor(button, changed) {
    this.button = button;
    this.changed = changed;
    button.addEventListener("click", () => this.toggle());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.changed());
    this.show();
  }

  get chosen() {
    return document.documentElement.dataset.theme ?? "auto";
  }

  toggle() {
    const next = NEXT[this.chosen];
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try { localStorage.setItem("floodgate-theme", next); } catch { /* for this visit only, then */ }
    this.show();
    this.changed();
  }

  show() {
    this.button.lastElementChild.textContent = `: ${this.chosen}`;
    this.button.setAttribute("aria-label", `Theme: ${this.chosen}`);
  }
}

/** A colour of the style sheet as the canvas needs it: resolved for the theme in force. */
export function colour(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
