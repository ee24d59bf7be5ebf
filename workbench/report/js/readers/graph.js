// A call graph, and the tree that the flame graph draws of it.
// A graph has the cost of each pair of caller and callee, not whole stacks: the cost of a function is split over its
// callers in proportion to the cost of their calls. Functions that call each other are a cycle, entered once in the tree.

import { ASSUMED } from "../../../charts/flame/js/tree.js";
import { ReadError } from "./limits.js";
import { Stacks } from "./stacks.js";

const MOST_FUNCTIONS = 4_194_304;
const MOST_GRAPH_NODES = 60_000;
const LEAST_SHARE = 1 / 50_000;

const zeros = (count) => new Float64Array(count);
const columnsOf = (rows, count) => Array.from({ length: count }, (_, metric) => rows.map((row) => row[metric] ?? 0));

export class CallGraph {
  constructor() {
    this.metrics = [];
    this.metricNumbers = new Map();
    this.functions = [];
    this.known = new Map();
    this.own = [];
    this.edges = [];
    this.edgeOf = new Map();
  }

  metric(name, unit) {
    if (!this.metricNumbers.has(name)) {
      this.metricNumbers.set(name, this.metrics.length);
      this.metrics.push({ name, unit });
    }
    return this.metricNumbers.get(name);
  }

  // the number of a function
  fn(name, file = "", object = "") {
    const key = `${name}\0${file}\0${object}`;
    let number = this.known.get(key);
    if (number === undefined) {
      number = this.functions.push({ name, file, object }) - 1;
      if (number >= MOST_FUNCTIONS) throw new ReadError("It has more functions than a browser can draw.");
      this.known.set(key, number);
      this.own.push([]);
    }
    return number;
  }

  spend(fn, values) { addTo(this.own[fn], values); }

  call(caller, callee, calls, values) {
    const key = caller * MOST_FUNCTIONS + callee;
    let edge = this.edgeOf.get(key);
    if (edge === undefined) {
      edge = { caller, callee, calls: 0, cost: [] };
      this.edgeOf.set(key, edge);
      this.edges.push(edge);
    }
    edge.calls += calls;
    addTo(edge.cost, values);
  }

  payload(title) {
    const stacks = new Stacks(this.metrics);
    const fns = this.functions.map(({ name, file, object }) => stacks.fn(name, file, object));
    const shares = new Shares(this);
    let least = LEAST_SHARE;
    while (!treeOf(stacks, fns, shares, least, true)) least *= 4;
    treeOf(stacks, fns, shares, least, false);
    const count = this.metrics.length, { edges } = this;
    return {
      ...stacks.payload(title),
      metric: shares.main,
      measured: { self: columnsOf(this.own, count), total: columnsOf(shares.functionTotals(), count) },
      edges: {
        caller: edges.map((edge) => edge.caller), callee: edges.map((edge) => edge.callee),
        calls: edges.map((edge) => edge.calls), cost: columnsOf(edges.map((edge) => edge.cost), count),
      },
    };
  }
}

function addTo(sums, values) {
  for (let at = 0; at < values.length; at++) sums[at] = (sums[at] ?? 0) + values[at];
}

// The part of each component that its callers and the root have. Components are numbered callees first.
class Shares {
  constructor(graph) {
    this.graph = graph;
    this.count = graph.metrics.length;
    const outside = graph.functions.map(() => []);
    for (const edge of graph.edges) if (edge.caller !== edge.callee) outside[edge.caller].push(edge);
    this.component = components(outside);
    const size = this.component.reduce((most, number) => Math.max(most, number + 1), 0);
    this.members = Array.from({ length: size }, () => []);
    this.component.forEach((number, fn) => this.members[number].push(fn));
    this.out = outside.map((edges, fn) => edges.filter((edge) => this.component[edge.callee] !== this.component[fn]));
    this.incoming = this.members.map(() => zeros(this.count));
    for (const edges of this.out) for (const edge of edges) addTo(this.incoming[this.component[edge.callee]], edge.cost);
    this.below = [];
    this.whole = [];
    this.members.forEach((fns, number) => this.add(fns, number));
    this.all = zeros(this.count);
    for (const own of graph.own) addTo(this.all, own);
    const counted = graph.metricNumbers.get("Ir") ?? -1;
    this.main = this.all[counted] > 0 ? counted : Math.max(0, this.all.findIndex((total) => total > 0));
  }

  // the total cost of a component, and the part shared by its callers
  add(fns, number) {
    const below = zeros(this.count);
    for (const fn of fns) {
      addTo(below, this.graph.own[fn]);
      for (const edge of this.out[fn]) addTo(below, this.costBelow(this.component[edge.callee], this.ofEdge(edge)));
    }
    this.below.push(below);
    this.whole.push(below.map((value, metric) => Math.max(value, this.incoming[number][metric])));
  }

  ofEdge(edge) {
    const whole = this.whole[this.component[edge.callee]];
    return whole.map((value, metric) => (value > 0 ? (edge.cost[metric] ?? 0) / value : 0));
  }

  // cost without a known caller
  ofRoot(number) {
    return this.whole[number].map((value, metric) => (value > 0 ? (value - this.incoming[number][metric]) / value : 0));
  }

  costBelow(number, share) { return this.below[number].map((value, metric) => value * share[metric]); }

  // total cost; functions of a cycle share the cycle's. At least the cost of calls to it
  functionTotals() {
    const spent = this.members.map((fns, number) => {
      const sums = zeros(this.count);
      for (const fn of fns) {
        addTo(sums, this.graph.own[fn]);
        for (const edge of this.out[fn]) addTo(sums, edge.cost);
      }
      return sums.map((value, metric) => Math.max(value, this.incoming[number][metric]));
    });
    return this.component.map((number) => spent[number]);
  }
}

// Strongly connected components (Tarjan 1972, without recursion): the number of each function's.
function components(outside) {
  const count = outside.length;
  const seen = new Int32Array(count).fill(-1), low = new Int32Array(count), component = Array.from(outside, () => -1);
  const next = new Int32Array(count), waiting = [];
  let made = 0, order = 0;
  for (let root = 0; root < count; root++) {
    if (seen[root] >= 0) continue;
    const path = [root];
    seen[root] = low[root] = order++;
    waiting.push(root);
    while (path.length) {
      const here = path[path.length - 1];
      if (next[here] < outside[here].length) {
        const target = outside[here][next[here]++].callee;
        if (seen[target] < 0) {
          seen[target] = low[target] = order++;
          waiting.push(target);
          path.push(target);
        } else if (component[target] < 0) low[here] = Math.min(low[here], seen[target]);
        continue;
      }
      path.pop();
      if (path.length) low[path[path.length - 1]] = Math.min(low[path[path.length - 1]], low[here]);
      if (low[here] === seen[here]) {
        let member;
        do {
          member = waiting.pop();
          component[member] = made;
        } while (member !== here);
        made++;
      }
    }
  }
  return component;
}

// Build the tree of everything with at least this share; the rest is its caller's self cost. ``trying``: only test whether
// the tree would be small enough.
function treeOf(stacks, fns, shares, least, trying) {
  const { component, members, out, main, graph } = shares;
  const enough = shares.all[main] * least;
  const open = [];
  let size = 0, light = 0, cycles = 0;
  members.forEach((ofComponent, number) => {
    const share = shares.ofRoot(number);
    if (share.some((part) => part > 1e-9)) open.push({ fn: entryOf(ofComponent, graph), parent: 0, share });
  });
  while (open.length) {
    const { fn, parent, share } = open.pop();
    const inside = members[component[fn]];
    const first = trying ? 0 : nodeOf(stacks, parent, fns[fn], share);
    if (inside.length > 1) cycles++;
    for (const member of [fn, ...inside.filter((one) => one !== fn)]) {
      size++;
      const node = trying || member === fn ? first : nodeOf(stacks, first, fns[member], share);
      if (!trying) stacks.add(node, share.map((part, metric) => part * (graph.own[member][metric] ?? 0)));
      for (const edge of out[member]) {
        const ofCallee = shares.ofEdge(edge).map((part, metric) => part * share[metric]);
        const cost = shares.costBelow(component[edge.callee], ofCallee);
        if (cost[main] >= enough) open.push({ fn: edge.callee, parent: node, share: ofCallee });
        else {
          light++;
          if (!trying) stacks.add(node, cost);
        }
      }
    }
    if (trying && size > MOST_GRAPH_NODES) return false;
  }
  if (!trying) {
    stacks.notes.add("A call graph has no stacks: the cost of a function is split over its callers.");
    if (light) stacks.notes.add(`Calls below ${(100 * least).toPrecision(2)} % of the total are added to the cost of the caller.`);
    if (cycles) stacks.notes.add("Functions that call each other are in the tree once, below the one that is called first.");
  }
  return true;
}

function nodeOf(stacks, parent, fn, share) {
  const node = stacks.node(parent, fn);
  if (node && share.some((part) => part > 0 && part < 1 - 1e-9)) stacks.made.flags[node] = ASSUMED;
  return node;
}

// for a cycle without a known outside caller, the most expensive member
const entryOf = (fns, graph) => fns.reduce((best, fn) => ((graph.own[fn][0] ?? 0) > (graph.own[best][0] ?? 0) ? fn : best), fns[0]);
