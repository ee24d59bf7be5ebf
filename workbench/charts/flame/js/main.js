// The flame graph: draws a packed call tree (see packing.py) on a canvas; no dependency, no network, no eval.
// indexerWorkbenchFlame.render(element, payload) draws; start(script) first reads the payload that is beside
// the script. Names come from foreign files: they are written to the canvas and textContent, never as markup.

import { Panel } from "./panel.js";
import { make } from "./dom.js";
import { parse, unpack } from "./payload.js";

const NAME = "indexerWorkbenchFlame";
const VERSION = 2;

export function render(element, payload) {
  const panel = new Panel(element, payload);
  element.dataset.state = "drawn";
  // for scripts and tests: the shown state as plain values
  element.flameGraph = {
    get panes() { return panel.panes; },
    costOf: (key, metric) => panel.costOf(key, metric),
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

// Draws the graph of the element that contains the script; if a host has moved the script, all undrawn graphs.
export async function start(script) {
  const own = script?.closest?.("[data-workbench-flame]");
  const elements = own ? [own] : document.querySelectorAll("[data-workbench-flame]:not([data-state])");
  await Promise.all(Array.from(elements, async (element) => {
    element.dataset.state = "reading";
    try {
      // the tables of a step list all steps, so they wait for the whole page
      if (element.closest(".wb-flame-steps") && document.readyState === "loading") {
        await new Promise((ready) => { document.addEventListener("DOMContentLoaded", ready, { once: true }); });
      }
      render(element, await unpack(element.querySelector('script[type="application/gzip"]').textContent));
    } catch (error) {
      element.dataset.state = "failed";
      element.append(make("p", "", "This browser cannot draw the flame graph. The table has its largest functions."));
      console.error("the flame graph cannot be drawn:", error);
    }
  }));
}

// each output of a notebook contains this script; the newest one draws them all
export function install(host = globalThis) {
  if ((host[NAME]?.version ?? 0) < VERSION) host[NAME] = { version: VERSION, render, parse, unpack, start };
}

install();
