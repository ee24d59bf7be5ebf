// The time-ordered view: a tree of spans drawn at their times, threads below each other.

import { emptyTree, withEnds } from "./tree.js";

// The root is the shown time, its children are the threads, below them their nested spans. fn of a
// thread is behind that of the root: root + 1 + its number.
export function timeTree(payload) {
  const { time, functions } = payload;
  const root = functions.name.length, count = time.start.length, threads = time.threads.length;
  const order = Uint32Array.from({ length: count }, (_, span) => span);
  order.sort((a, b) => time.thread[a] - time.thread[b] || time.start[a] - time.start[b] || time.depth[a] - time.depth[b]);
  const tree = emptyTree(1 + threads + count);
  const start = new Float64Array(tree.size), duration = new Float64Array(tree.size);
  const whole = time.end.reduce((latest, end) => Math.max(latest, end), 0);
  tree.fn[0] = root;
  duration[0] = whole;
  let node = 1, next = 0;
  for (let thread = 0; thread < threads; thread++) {
    const path = [node];
    tree.parent[node] = 0;
    tree.depth[node] = 1;
    tree.fn[node] = root + 1 + thread;
    duration[node] = whole;
    for (node++; next < count && time.thread[order[next]] === thread; next++, node++) {
      const span = order[next], depth = Math.min(time.depth[span], path.length - 1);
      path.length = depth + 1;
      path.push(node);
      tree.parent[node] = path[depth];
      tree.depth[node] = depth + 2;
      tree.fn[node] = time.fn[span];
      start[node] = time.start[span];
      duration[node] = time.end[span] - time.start[span];
    }
  }
  return { ...withEnds(tree), start, self: [selfTimes(tree, duration)], total: [duration] };
}

function selfTimes(tree, duration) {
  const self = duration.slice();
  for (let node = 1; node < tree.size; node++) if (tree.depth[node] > 2) self[tree.parent[node]] -= duration[node];
  for (let node = 0; node < tree.size; node++) if (tree.depth[node] < 2) self[node] = 0;
  return self;
}

// rows: the root, then for each thread its own row and one a depth
export function timeLayout(tree) {
  const rows = [], threads = [];
  const rowOf = new Int32Array(tree.size);
  let base = 0;
  for (let node = 0; node < tree.size; node++) {
    if (tree.depth[node] === 1) {
      base = rows.length - 1;
      threads.push(node);
    }
    rowOf[node] = base + tree.depth[node];
    (rows[rowOf[node]] ??= []).push(node);
  }
  // a span shorter than a tick of the clock is drawn as wide as a tick
  const width = tree.total[0].map((duration) => Math.max(1, duration));
  return { x: tree.start, width, rows: rows.map((row) => Int32Array.from(row)), rowOf, threads };
}

// nanoseconds that threads were busy: their outermost spans
export function busyTime(tree) {
  let sum = 0;
  for (let node = 0; node < tree.size; node++) if (tree.depth[node] === 2) sum += tree.total[0][node];
  return sum;
}

// places of ticks between low and high, at most ``most`` of them, at 1, 2 or 5 times a power of ten
export function ticks(low, high, most) {
  const least = (high - low) / Math.max(1, most);
  if (!(least > 0)) return { step: 1, places: [] };
  const power = 10 ** Math.floor(Math.log10(least));
  const step = power * [1, 2, 5, 10].find((times) => times * power >= least);
  const places = [];
  for (let number = Math.ceil(low / step); number * step <= high; number++) places.push(number * step);
  return { step, places };
}

const UNITS = [["s", 1e9], ["ms", 1e6], ["µs", 1e3], ["ns", 1]];

// a time since the beginning, as exact as the step between ticks needs
export function clock(ns, step) {
  const [unit, scale] = UNITS.find(([, size]) => Math.abs(ns) >= size) ?? UNITS[3];
  const decimals = Math.max(0, Math.ceil(-Math.log10(step / scale) - 1e-9));
  return `${(ns / scale).toFixed(Math.min(9, decimals))} ${unit}`;
}
