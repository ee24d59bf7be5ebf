// The rows of the tables beside the graph, computed from the tree or taken from measured costs.
//
// A row has fn (or text), and a number a side in self and total: one side, or after and before.

import { TRIMMED } from "./tree.js";

// The functions of a subtree: self, and total with recursion once. For the whole of a call graph the measured costs.
export function functionRows(tree, measured, top = 0) {
  if (measured && top === 0) return measuredRows(measured);
  const sides = tree.total.length, count = tree.fn[0];
  const self = sideColumns(sides, count), total = sideColumns(sides, count);
  const within = new Int32Array(count); // the end of each function's last outermost node
  const seen = new Uint8Array(count);
  for (let node = top; node < tree.end[top]; node++) {
    const fn = tree.fn[node];
    if (fn >= count || tree.flags[node] & TRIMMED) continue;
    seen[fn] = 1;
    const outer = node >= within[fn];
    if (outer) within[fn] = tree.end[node];
    for (let side = 0; side < sides; side++) {
      self[side][fn] += tree.self[side][node];
      if (outer) total[side][fn] += tree.total[side][node];
    }
  }
  return rowsOf(seen, self, total);
}

// the measured costs of functions in one metric; null if only the tree was measured
export function measuredIn({ measured }, metric) {
  return measured && { self: [measured.self[metric]], total: [measured.total[metric]] };
}

function measuredRows({ self, total }) {
  return rowsOf(new Uint8Array(self[0].length).fill(1), self, total);
}

const sideColumns = (sides, count) => Array.from({ length: sides }, () => new Float64Array(count));

function rowsOf(seen, self, total) {
  const rows = [];
  for (let fn = 0; fn < seen.length; fn++) {
    if (seen[fn]) rows.push({ fn, self: self.map((column) => column[fn] ?? 0), total: total.map((column) => column[fn] ?? 0) });
  }
  return rows;
}

// Callers and callees of a function, from the tree: the cost of its outermost calls by caller, and of the outermost
// calls of each callee from it.
export function neighbourRows(tree, wanted, direction) {
  const sides = tree.total.length, count = tree.fn[0];
  const total = sideColumns(sides, count + 1), seen = new Uint8Array(count + 1), within = new Int32Array(count + 1);
  for (let node = 1; node < tree.size; node++) {
    const up = direction === "callers";
    const here = up ? tree.fn[node] : tree.fn[tree.parent[node]];
    if (here !== wanted || tree.parent[node] < 0) continue;
    const other = up ? tree.fn[tree.parent[node]] : tree.fn[node];
    const counted = up ? wanted : other;
    seen[other] = 1;
    if (node < within[counted]) continue;
    within[counted] = tree.end[node];
    for (let side = 0; side < sides; side++) total[side][other] += tree.total[side][node];
  }
  seen[count] = 0; // the root is not a caller
  return rowsOf(seen, sideColumns(sides, count + 1), total);
}

// The same from measured edges: a row per edge, with calls.
export function edgeRows(edges, metric, wanted, direction) {
  const [near, far] = direction === "callers" ? [edges.callee, edges.caller] : [edges.caller, edges.callee];
  const rows = [];
  for (let edge = 0; edge < near.length; edge++) {
    if (near[edge] !== wanted) continue;
    rows.push({ fn: far[edge], self: [0], total: [edges.cost[metric][edge]], calls: edges.calls[edge] });
  }
  return rows;
}

export function lineRows(lines, metric, wanted) {
  const rows = [];
  for (let at = 0; at < lines.fn.length; at++) {
    if (lines.fn[at] !== wanted) continue;
    rows.push({
      file: lines.file[at], line: lines.line[at],
      self: [lines.self[metric][at]], total: [lines.total[metric][at]],
    });
  }
  return rows;
}

// largest first; with two sides by the change
export function sorted(rows, by) {
  const size = (row) => Math.abs(row[by].length > 1 ? row[by][0] - row[by][1] : row[by][0]);
  const next = by === "self" ? "total" : "self";
  return rows.sort((a, b) => size(b) - size(a) || Math.abs(b[next][0]) - Math.abs(a[next][0]));
}

// a function across payloads of one program
export const keyOf = ({ raw, file, object }, fn) => [raw[fn], file[fn], object[fn]].join("\0");
