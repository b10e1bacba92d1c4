// The page: one stream in, four views out. The address after # says which view, and of what.

import { $, mindScrolling } from "./dom.js";
import { key, setKey } from "./api.js";
import { Stream } from "./stream.js";
import { Theme } from "./theme.js";
import { Health } from "./health.js";
import { Flow } from "./flow.js";
import { Requests } from "./requests.js";
import { Letters } from "./letters.js";
import { TestEvent } from "./test-event.js";
import { askKey } from "./dialogs.js";
import { listen } from "./keys.js";

const VIEWS = ["flow", "requests", "dead-letters", "test"];

const health = new Health();
const flow = new Flow();
const requests = new Requests();
const letters = new Letters();
const testEvent = new TestEvent();
const theme = new Theme($("theme-button"), () => flow.repaint());
const opened = { flow, requests, "dead-letters": letters, test: testEvent };

const stream = new Stream({
  hello(data) {
    health.hello();
    flow.hello(data);
    requests.hello(data);
    letters.hello(data);
  },
  snapshot(data) {
    health.snapshot(data);
    flow.snapshot(data);
    requests.snapshot(data);
    letters.snapshot(data);
  },
  lost(status, detail) {
    health.lost(status, detail);
    flow.lost();
  },
});

let shown = null;

function route() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("?")[0].split("/");
  if (location.hash === "#main") return;
  const view = VIEWS.includes(name) ? name : "flow";
  for (const other of VIEWS) $(`view-${other}`).hidden = other !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (view !== shown) window.scrollTo(0, 0);
  shown = view;
  opened[view].open(rest.map(decodeURIComponent).join("/"));
}

async function changeKey() {
  if ($("dialog").open) return;
  const entered = await askKey(Boolean(key()));
  if (entered === null) return;
  setKey(entered);
  showKey();
  stream.again();
  route();
}

function showKey() {
  $("key-button").textContent = key() ? "Key: set" : "Key";
}

const go = (hash) => () => { location.hash = hash; };
listen({
  1: go("#/flow"), 2: go("#/requests"), 3: go("#/dead-letters"), 4: go("#/test"),
  "/": () => { location.hash = "#/requests"; setTimeout(() => $("find-id").focus()); },
  t: () => theme.toggle(),
  k: changeKey,
});
$("key-button").addEventListener("click", changeKey);
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); $("main").focus(); });
window.addEventListener("hashchange", route);
window.addEventListener("resize", mindScrolling);
new MutationObserver(mindScrolling).observe($("main"), { childList: true, subtree: true });
showKey();
route();
stream.run();
