// Positions of bars: x and width of each node in units of cost, rowOf each node, and the nodes of each row from left to
// right.

import { childLists, subtreeSums } from "./tree.js";

// The width of a bar. A negative cost is as wide as its size; colour and a mark show its sign.
export const WIDTHS = {
  after: ([after], node) => Math.abs(after[node]),
  before: ([, before], node) => Math.abs(before[node]),
  either: ([after, before], node) => Math.max(Math.abs(after[node]), Math.abs(before[node])),
};

// the largest sibling first
export function laidOut(tree, weight) {
  const own = new Float64Array(tree.size);
  for (let node = 0; node < tree.size; node++) own[node] = weight(tree.self, node);
  const width = subtreeSums(tree, own);
  const x = new Float64Array(tree.size);
  const { head, next } = childLists(tree);
  const rows = [];
  for (let row = Int32Array.of(0); row.length;) {
    rows.push(row);
    const below = [];
    for (const node of row) {
      const children = [];
      for (let child = head[node]; child !== -1; child = next[child]) if (width[child] > 0) children.push(child);
      if (children.length > 1) children.sort((a, b) => width[b] - width[a] || a - b);
      let at = x[node];
      for (const child of children) {
        x[child] = at;
        at += width[child];
        below.push(child);
      }
    }
    row = Int32Array.from(below);
  }
  return { x, width, rows, rowOf: tree.depth };
}

// position in a row of the first bar that reaches beyond ``at``
export function firstBeyond({ x, width }, row, at) {
  let low = 0, high = row.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x[row[middle]] + width[row[middle]] > at) high = middle;
    else low = middle + 1;
  }
  return low;
}
