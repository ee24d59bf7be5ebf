// The flame graph: draws a packed call tree (see packing.py) on a canvas; no dependency, no network, no eval.
// indexerWorkbenchFlame.render(element, payload) draws; start(script) first reads the payload that is beside
// the script. Names come from foreign files: they are written to the canvas and textContent, never as markup.

import { drawNow, holdsLoad, whenNear } from "./near.js";
import { parse, unpack } from "./payload.js";
import { Panel } from "./panel.js";
import { ROW_PX } from "./slivers.js";
import { costsOf } from "./window_costs.js";
import { make } from "./dom.js";

const NAME = "indexerWorkbenchFlame";
const VERSION = 3;

export function render(element, payload) {
  const panel = new Panel(element, payload);
  element.dataset.state = "drawn";
  // for scripts and tests: the shown state as plain values
  element.flameGraph = {
    get panes() { return panel.panes; },
    get choices() { return panel.choices; },
    takeOver: (choices) => panel.takeOver(choices),
    rows: (number = 0) => {
      const { tree } = panel.panes[number];
      return Array.from({ length: tree.size }, (_, node) => ({
        depth: tree.depth[node], name: panel.model.nameOf(tree.fn[node]), self: tree.self.map((c) => c[node]), total: tree.total.map((c) => c[node]),
      }));
    },
  };
  return element.flameGraph;
}

// Draws the graph of the element that contains the script; if a host has moved the script, all undrawn graphs. A page
// with data-wb-draw="near" has its graphs drawn when they come near the screen.
export async function start(script) {
  const own = script?.closest?.("[data-workbench-flame]");
  const elements = own ? [own] : document.querySelectorAll("[data-workbench-flame]:not([data-state])");
  const whenever = document.documentElement.dataset.wbDraw === "near" ? waits : drawn;
  await holdsLoad(Promise.all(Array.from(elements, async (element) => {
    element.dataset.state = "reading";
    try {
      const payload = await read(element);
      element.costOf = costsOf(payload);
      whenever(element, payload);
    } catch (error) {
      failed(element, error);
    }
  })));
}

async function read(element) {
  const payload = await unpack(element.querySelector('script[type="application/gzip"]').textContent);
  // the tables of one step name all steps, so they wait for the whole page
  if (element.closest(".wb-flame-steps") && document.readyState === "loading") {
    await new Promise((ready) => { document.addEventListener("DOMContentLoaded", ready, { once: true }); });
  }
  return payload;
}

// It keeps about the place that it will need, and can be reached by keyboard, which draws it.
function waits(element, payload) {
  const rows = 1 + payload.depth.reduce((most, depth) => Math.max(most, depth + 1), 0);
  const attributes = { tabindex: "0", role: "group", "aria-label": payload.title };
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.style.setProperty("--wb-bars", `${rows * ROW_PX}px`);
  element.style.setProperty("--wb-functions", payload.functions.name.length);
  element.dataset.state = "waiting";
  element.drawNow = () => drawNow(element);
  element.addEventListener("focus", () => {
    element.drawNow();
    element.querySelector("input")?.focus({ preventScroll: true });
  }, { once: true });
  whenNear(element, () => {
    for (const name of Object.keys(attributes)) element.removeAttribute(name);
    drawn(element, payload);
  });
}

function drawn(element, payload) {
  try {
    render(element, payload);
  } catch (error) {
    failed(element, error);
  }
}

function failed(element, error) {
  element.dataset.state = "failed";
  element.append(make("p", "", "This browser cannot draw the flame graph. The table has its largest functions."));
  console.error("the flame graph cannot be drawn:", error);
}

// each output of a notebook contains this script; the newest one draws them all
export function install(host = globalThis) {
  if ((host[NAME]?.version ?? 0) < VERSION) host[NAME] = { version: VERSION, render, parse, unpack, start };
}

install();
