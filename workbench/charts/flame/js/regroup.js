// New trees from paths through an old one: leaves first, callers of a function, callees of a function.

import { CUT, childLists, emptyTree, outermost, subtreeSums, withEnds } from "./tree.js";

// the levels that are always computed; beyond them, bars too narrow for a pixel are left out
const STEPS_UNCUT = 1e6;
const SHARE_CUT = 1 / 50000;

// Leaves first: each root is a function with self cost, above it are its callers.
export function inverted(tree, functions, weight) {
  const starts = [];
  let steps = 0;
  for (let node = 1; node < tree.size; node++) {
    if (tree.self.some((costs) => costs[node] !== 0)) {
      starts.push(node);
      steps += tree.depth[node];
    }
  }
  // the tree of all callers of all leaves can be a hundred times the size of the first. Callers of one function are
  // always whole.
  const cut = steps > STEPS_UNCUT ? weight(tree.total, 0) * SHARE_CUT : 0;
  return new Regrouping(tree, tree.self, { up: true, root: functions, cut, weight }).run(starts, false);
}

// Callers of a function: the costs of its outermost calls, divided among the paths that led there.
export function callersOf(tree, fn, weight) {
  return new Regrouping(tree, tree.total, { up: true, root: fn, cut: 0, weight }).run(callsOf(tree, fn), true);
}

// Callees of a function: the merged subtrees of its outermost calls.
export function calleesOf(tree, fn, weight) {
  return new Regrouping(tree, tree.self, { up: false, root: fn, cut: 0, weight }).run(callsOf(tree, fn), true);
}

const callsOf = (tree, fn) => outermost(tree, (node) => tree.fn[node] === fn);

// Each entry is the current node of a path and its start node. The entries of one new node are adjacent,
// so that its children are found by a mark per function, without hashing. Upwards a path ends below the root and adds
// its cost there; downwards each node on it adds its own.
class Regrouping {
  constructor(tree, costs, { up, root, cut, weight }) {
    Object.assign(this, { tree, costs, up, cut, weight });
    this.heads = up ? null : childLists(tree);
    this.made = { parent: [-1], fn: [root], line: [-1], flags: [0], self: costs.map(() => [0]) };
    this.mark = new Int32Array(tree.fn[0] + 1).fill(-1);
    this.slot = new Int32Array(this.mark.length);
  }

  // ``grouped``: the starts are the root itself, else they are its children
  run(starts, grouped) {
    let entries = { node: Int32Array.from(starts), row: Int32Array.from(starts), group: new Int32Array(starts.length) };
    if (grouped) for (const node of starts) this.land(0, node);
    for (let first = !grouped; entries.node.length; first = false) {
      const lowest = this.made.parent.length;
      this.next = { node: [], row: [], group: [] };
      for (let from = 0, to; from < entries.node.length; from = to) {
        for (to = from; to < entries.node.length && entries.group[to] === entries.group[from];) to++;
        this.follow(entries, from, to, first);
      }
      entries = bucketed(this.next, lowest, this.made.parent.length);
    }
    return inPreorder(this.made);
  }

  // the entries of one group, from ``from`` to (not with) ``to``
  follow(entries, from, to, first) {
    const { tree, made, up, cut, heads } = this;
    const group = entries.group[from];
    if (up && cut && !first && this.weightOf(entries, from, to) < cut) {
      made.flags[group] |= CUT;
      for (let entry = from; entry < to; entry++) this.give(group, entries.row[entry]);
      return;
    }
    for (let entry = from; entry < to; entry++) {
      const node = entries.node[entry], row = entries.row[entry];
      if (first) this.push(group, node, row);
      else if (up) {
        if (tree.parent[node] > 0) this.push(group, tree.parent[node], row);
        else this.give(group, row);
      } else {
        this.give(group, node);
        for (let child = heads.head[node]; child !== -1; child = heads.next[child]) this.push(group, child, child);
      }
    }
  }

  weightOf(entries, from, to) {
    const sums = this.costs.map((column) => {
      let sum = 0;
      for (let entry = from; entry < to; entry++) sum += column[entries.row[entry]];
      return [sum];
    });
    return this.weight(sums, 0);
  }

  give(group, row) {
    const { costs, made } = this;
    for (let which = 0; which < costs.length; which++) made.self[which][group] += costs[which][row];
  }

  land(group, node) {
    const { made, tree } = this;
    made.flags[group] |= tree.flags[node];
    if (made.line[group] === -1) made.line[group] = tree.line[node];
    else if (made.line[group] !== tree.line[node]) made.line[group] = 0;
  }

  push(group, node, row) {
    const { mark, slot, made, next } = this;
    const fn = this.tree.fn[node];
    if (mark[fn] !== group) {
      mark[fn] = group;
      slot[fn] = made.parent.length;
      made.parent.push(group);
      made.fn.push(fn);
      made.line.push(-1);
      made.flags.push(0);
      for (const column of made.self) column.push(0);
    }
    this.land(slot[fn], node);
    next.node.push(node);
    next.row.push(row);
    next.group.push(slot[fn]);
  }
}

// counting sort of entries by their group, groups from lowest to (not with) highest
function bucketed(entries, lowest, highest) {
  const count = entries.group.length;
  const place = new Int32Array(highest - lowest + 1);
  for (let entry = 0; entry < count; entry++) place[entries.group[entry] - lowest + 1]++;
  for (let group = 1; group < place.length; group++) place[group] += place[group - 1];
  const sorted = { node: new Int32Array(count), row: new Int32Array(count), group: new Int32Array(count) };
  for (let entry = 0; entry < count; entry++) {
    const at = place[entries.group[entry] - lowest]++;
    sorted.node[at] = entries.node[entry];
    sorted.row[at] = entries.row[entry];
    sorted.group[at] = entries.group[entry];
  }
  return sorted;
}

// nodes in any order, parents before children, as a tree in preorder; siblings keep their order
export function inPreorder(made) {
  const tree = emptyTree(made.parent.length);
  const { head, next } = childLists(made);
  const place = new Int32Array(tree.size);
  const self = made.self.map(() => new Float64Array(tree.size));
  const waiting = [0];
  for (let node = 0; waiting.length; node++) {
    const old = waiting.pop();
    place[old] = node;
    if (node) {
      tree.parent[node] = place[made.parent[old]];
      tree.depth[node] = tree.depth[tree.parent[node]] + 1;
    }
    tree.fn[node] = made.fn[old];
    tree.line[node] = Math.max(0, made.line[old]);
    tree.flags[node] = made.flags[old];
    for (let which = 0; which < self.length; which++) self[which][node] = made.self[which][old];
    const children = [];
    for (let child = head[old]; child !== -1; child = next[child]) children.push(child);
    while (children.length) waiting.push(children.pop());
  }
  return { ...withEnds(tree), self, total: self.map((column) => subtreeSums(tree, column)) };
}
