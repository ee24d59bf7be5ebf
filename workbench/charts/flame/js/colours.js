// Colours of bars. Nothing is shown by colour alone.

import { changeOf } from "./tree.js";
import { plainNumber } from "./words.js";
import { tintNumber } from "./palette.js";

const STEPS = [0.02, 0.1, 0.3]; // relative change at which the next tint begins
const LEGEND = 10;

export const KINDS = { crate: "crate or module", file: "file", object: "binary", name: "function" };

// the tint of a group depends only on its name
export function tintOf(scheme, group) {
  return group ? scheme.tints[tintNumber(group)] : scheme.grey;
}

// the legend has those that cost most by themselves
export function groupColours({ payload, tree, scheme }, kind) {
  const groups = payload.functions[kind];
  const costs = new Map();
  for (let node = 1; node < tree.size; node++) {
    const group = groups[tree.fn[node]];
    costs.set(group, (costs.get(group) ?? 0) + Math.max(...tree.self.map((column) => Math.abs(column[node]))));
  }
  const tints = new Map([...costs.keys()].map((group) => [group, tintOf(scheme, group)]));
  const ofFunction = groups.map((group) => tints.get(group) ?? scheme.grey);
  const named = [...costs].filter(([group, cost]) => group && cost > 0).sort((a, b) => b[1] - a[1]);
  const legend = named.slice(0, LEGEND).map(([group]) => [tints.get(group), group]);
  const left = named.length - legend.length;
  if (left > 0) legend.push([null, `and ${plainNumber(left)} more`]);
  if (costs.has("")) legend.push([scheme.grey, "unknown"]);
  return { of: (shown, node) => ofFunction[shown.fn[node]] ?? scheme.root, legend };
}

export function differenceColours({ scheme }) {
  const { more, less, root } = scheme;
  return {
    of: (shown, node) => {
      const { after, before } = changeOf(shown, node);
      const change = (after - before) / Math.max(Math.abs(after), Math.abs(before), Number.MIN_VALUE);
      if (change === 0) return root;
      const step = STEPS.filter((least) => Math.abs(change) >= least).length;
      return (change > 0 ? more : less)[step];
    },
    legend: [[less[3], "− less than before"], [root, "= no change"], [more[3], "+ more than before"], [more[3], "new, with slanted lines"], [less[3], "gone, with dots"]],
  };
}

// for costs that are differences themselves
export function signColours({ scheme }) {
  const { more, less, root } = scheme;
  return {
    of: (shown, node) => (shown.total[0][node] > 0 ? more[2] : shown.total[0][node] < 0 ? less[2] : root),
    legend: [[less[2], "− below zero"], [more[2], "above zero"]],
  };
}

export const PATTERNS = {
  added: (tile, size, shade) => {
    tile.strokeStyle = `rgba(${shade},.45)`;
    tile.beginPath();
    for (const shift of [-size, 0, size]) { tile.moveTo(shift, size); tile.lineTo(shift + size, 0); }
    tile.stroke();
  },
  removed: (tile, size, shade) => {
    tile.fillStyle = `rgba(${shade},.5)`;
    tile.fillRect(0, 0, 2, 2);
    tile.fillRect(size / 2, size / 2, 2, 2);
  },
  assumed: (tile, size, shade) => { tile.fillStyle = `rgba(${shade},.65)`; tile.fillRect(0, 0, size / 2, size); },
};
