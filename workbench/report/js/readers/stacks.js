// Stacks and spans, and the payload that the flame graph draws of them.

import { MOST_DEPTH, MOST_NODES, MOST_SPANS, ReadError, clean } from "./limits.js";
import { crateOf } from "./crate.js";
import { inPreorder } from "../../../charts/flame/js/regroup.js";

export class Stacks {
  // ``metrics``: name and unit of each
  constructor(metrics) {
    this.metrics = metrics.map(({ name, unit }) => ({ name: clean(name), unit: clean(unit), description: "" }));
    this.functions = { name: [], raw: [], file: [], object: [], crate: [] };
    this.known = new Map();
    this.children = new Map();
    this.made = { parent: [-1], fn: [-1], line: [0], flags: [0], self: metrics.map(() => [0]) };
    this.depths = [0];
    this.notes = new Set();
    this.spans = { threads: [], thread: [], start: [], end: [], depth: [], fn: [] };
    this.threads = new Map();
    this.open = new Map();
  }

  // the number of a function
  fn(name, file = "", object = "") {
    const key = `${name}\0${file}\0${object}`;
    let number = this.known.get(key);
    if (number === undefined) {
      number = this.functions.name.length;
      this.known.set(key, number);
      const shown = clean(name || "(unknown)");
      this.functions.name.push(shown);
      this.functions.raw.push(shown);
      this.functions.file.push(clean(file));
      this.functions.object.push(clean(object));
      this.functions.crate.push(clean(crateOf(String(name), String(file))));
    }
    return number;
  }

  // the node of a function below another (0: the root)
  node(parent, fn, line = 0) {
    const { made } = this;
    const key = parent * 4194304 + fn;
    let node = this.children.get(key);
    if (node === undefined) {
      if (this.depths[parent] >= MOST_DEPTH) {
        this.notes.add(`Stacks deeper than ${MOST_DEPTH.toLocaleString("en-GB")} frames are cut at their leaves.`);
        return parent;
      }
      node = made.parent.length;
      if (node > MOST_NODES || fn >= 4194304) throw new ReadError("It has more different stacks than a browser can draw.");
      this.children.set(key, node);
      made.parent.push(parent);
      made.fn.push(fn);
      made.line.push(line);
      made.flags.push(0);
      this.depths.push(this.depths[parent] + 1);
      for (const column of made.self) column.push(0);
    } else if (made.line[node] !== line) made.line[node] = 0;
    return node;
  }

  path(fns, lines = null) {
    let node = 0;
    for (let at = 0; at < fns.length; at++) node = this.node(node, fns[at], lines ? lines[at] : 0);
    return node;
  }

  // the functions from the root to a node
  fnsOf(node) {
    const fns = [];
    for (let at = node; at > 0; at = this.made.parent[at]) fns.push(this.made.fn[at]);
    return fns.reverse();
  }

  add(node, values) {
    for (let metric = 0; metric < values.length; metric++) {
      if (!Number.isFinite(values[metric])) throw new ReadError("A cost in it is not a number.");
      this.made.self[metric][node] += values[metric];
    }
  }

  // a stack on a thread between two times, in ns; continuing frames are one span
  sample(thread, start, end, fns) {
    const open = this.open.get(thread) ?? [];
    let same = 0;
    while (same < open.length && same < fns.length && open[same].fn === fns[same] && open[same].end >= start) open[same++].end = end;
    for (const span of open.splice(same)) this.span(thread, span);
    for (let depth = same; depth < Math.min(fns.length, MOST_DEPTH); depth++) open.push({ fn: fns[depth], start, end, depth });
    this.open.set(thread, open);
  }

  span(thread, { fn, start, end, depth }) {
    const { spans } = this;
    if (spans.start.length >= MOST_SPANS) {
      this.notes.add(`Only the first ${MOST_SPANS.toLocaleString("en-GB")} spans are shown in order of time.`);
      return;
    }
    if (!this.threads.has(thread)) this.threads.set(thread, spans.threads.push(thread) - 1);
    spans.thread.push(this.threads.get(thread));
    spans.start.push(start);
    spans.end.push(Math.max(start, end));
    spans.depth.push(depth);
    spans.fn.push(fn);
  }

  payload(title) {
    for (const [thread, open] of this.open) for (const span of open) this.span(thread, span);
    this.made.fn[0] = this.functions.name.length;
    const tree = inPreorder(this.made);
    return {
      title: clean(title), metric: 0, inverted: false, icicle: true, dropped: "", compared: false,
      remarks: [...this.notes].map(clean), metrics: this.metrics, functions: this.functions,
      depth: tree.depth.slice(1).map((depth) => depth - 1), fn: tree.fn.slice(1), line: tree.line.slice(1), flags: tree.flags.slice(1),
      cost: tree.self.map((column) => column.slice(1)), before: null, measured: null, edges: null, lines: null, time: this.time(),
    };
  }

  time() {
    const { spans } = this;
    if (!spans.start.length) return null;
    const begins = spans.start.reduce((least, start) => Math.min(least, start), Infinity);
    const since = (time) => time - begins;
    return { ...spans, threads: spans.threads.map(clean), beginsNs: begins, start: spans.start.map(since), end: spans.end.map(since) };
  }
}
