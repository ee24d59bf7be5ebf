// Callgrind's format ("Callgrind Format Specification" of the Valgrind manual): functions and the calls between them.

import { CallGraph } from "./graph.js";
import { ReadError } from "./limits.js";

const CALLGRIND_HEAD_LETTERS = 64 * 1024;
const CALLGRIND_MARK = "# callgrind format";

// The mark, or a header with events: before anything else
export function isCallgrind(text) {
  if (text.startsWith(CALLGRIND_MARK)) return true;
  for (const line of text.slice(0, CALLGRIND_HEAD_LETTERS).split("\n")) {
    if (line.startsWith("events:")) return true;
    if (line.trim() && !line.startsWith("#") && !/^[A-Za-z]+(?: \(BB\))?:/.test(line)) return false;
  }
  return false;
}

// A 64-bit number. Relative or invalid numbers are refused: the format does not allow them as costs.
function costOf(word, line) {
  if (!/^(?:\d+|0[xX][0-9a-fA-F]+)$/.test(word)) throw new ReadError(word.startsWith("-") && Number(word) < 0 ? "It has costs below 0, which this page does not draw." : `Line ${line.toLocaleString("en-GB")}: the cost "${word.slice(0, 40)}" is no whole number.`);
  const value = Number(word);
  if (value >= 2 ** 63) throw new ReadError("It has costs below 0, which this page does not draw.");
  return value;
}

// Names are given once, with a number that replaces them later.
class Names {
  constructor() { this.known = new Map(); }

  of(text) {
    const found = /^\((\d+)\)/.exec(text);
    if (!found) return text;
    const name = text.slice(found[0].length).trim();
    if (name) this.known.set(found[1], name);
    return name || (this.known.get(found[1]) ?? `(${found[1]})`);
  }
}

const knownName = (name) => (name === "???" || name === "UnknownFile???" ? "" : name);

// the unit is in the name, as in Time_(10ns), or in its description
const UNIT_IN_NAME = /\((\d*)\s*(ns|us|ms|s|sec|seconds|B|bytes|kB|MB|GB)\)$/;
const UNIT_IN_WORDS = /\b(ns|us|ms|s|bytes|Bytes|microseconds|milliseconds|seconds)\)?\s*$/;
const RATIO = /\/\s*hit|\bper[ -]hit\b|perhit$|^usphit$|%/i;
const UNIT_NAMES = {
  ns: ["ns", 1], us: ["us", 1], microseconds: ["us", 1], ms: ["ms", 1], milliseconds: ["ms", 1], s: ["s", 1], sec: ["s", 1], seconds: ["s", 1],
  B: ["bytes", 1], bytes: ["bytes", 1], Bytes: ["bytes", 1], kB: ["bytes", 2 ** 10], MB: ["bytes", 2 ** 20], GB: ["bytes", 2 ** 30],
};

function unitAndFactor(name, about) {
  const named = UNIT_IN_NAME.exec(name);
  if (named) return [UNIT_NAMES[named[2]][0], UNIT_NAMES[named[2]][1] * Number(named[1] || 1)];
  return UNIT_NAMES[(UNIT_IN_WORDS.exec(about) ?? UNIT_IN_WORDS.exec(name))?.[1]] ?? ["count", 1];
}

class Reading {
  constructor() {
    this.graph = new CallGraph();
    this.names = { file: new Names(), object: new Names(), fn: new Names() };
    this.positions = 1;
    this.events = null; // the name of each cost
    this.columns = null; // its metric (-1: a ratio, which cannot be summed) and the factor to its unit
    this.about = new Map();
    this.home = null;
    this.file = this.object = "";
    this.own = null; // the function whose costs follow
    this.callee = { file: null, object: null, name: null, fn: 0, calls: 0 };
    this.next = "own"; // what the next cost line belongs to
    this.line = 0;
  }

  header(key, value) {
    if (key === "version" && value !== "1") throw new ReadError(`Version ${value.slice(0, 20)} of callgrind's format is not known here.`);
    if (key === "positions") this.positions = value.split(/\s+/).filter(Boolean).length || 1;
    if (key === "event") this.about.set(value.split(/[\s=:]/)[0], value.slice(value.lastIndexOf(":") + 1));
    if (key === "events") {
      this.events = value.split(/\s+/).filter(Boolean);
      this.columns = null;
    }
  }

  // at the first costs: events may be described after the line that names them
  metrics() {
    if (!this.events) throw new ReadError('Costs come before the line "events:", which names them.');
    this.columns ??= this.events.map((name) => {
      const about = this.about.get(name) ?? "";
      if (RATIO.test(name) || RATIO.test(about)) return { metric: -1, factor: 0 };
      const [unit, factor] = unitAndFactor(name, about);
      return { metric: this.graph.metric(name, unit), factor };
    });
    return this.columns;
  }

  named(key, value) {
    const { names, callee } = this;
    switch (key) {
      case "fl": this.home = this.file = knownName(names.file.of(value)); break;
      case "fi": case "fe": this.file = knownName(names.file.of(value)); break;
      case "ob": this.object = knownName(names.object.of(value)); break;
      case "fn": // a writer without fl= names a function's file by fi=
        this.file = this.home ?? this.file;
        this.own = this.graph.fn(names.fn.of(value), this.file, this.object);
        break;
      case "cfl": case "cfi": callee.file = knownName(names.file.of(value)); break;
      case "cob": callee.object = knownName(names.object.of(value)); break;
      case "cfn": callee.name = names.fn.of(value); break;
      case "calls": case "rcalls": // unnamed parts are as in the caller
        callee.fn = this.graph.fn(callee.name ?? "", callee.file ?? this.file, callee.object ?? this.object);
        callee.calls = Number(value.split(/\s/)[0]) || 0;
        this.next = "call";
        break;
      case "jump": case "jcnd": this.next = "jump"; break;
      default: // jumps, which have no cost
    }
  }

  costs(words) {
    const columns = this.metrics();
    const { graph, callee, next } = this;
    this.next = "own";
    if (next === "jump") return;
    const values = Array.from(graph.metrics, () => 0);
    columns.forEach(({ metric, factor }, at) => {
      const word = words[this.positions + at];
      if (word !== undefined && metric >= 0) values[metric] += costOf(word, this.line) * factor;
    });
    this.own ??= graph.fn("", this.file, this.object);
    if (next === "own") graph.spend(this.own, values);
    else {
      graph.call(this.own, callee.fn, callee.calls, values);
      Object.assign(callee, { file: null, object: null, name: null });
    }
  }

  read(line) {
    this.line++;
    const text = line.trim();
    if (!text || text.startsWith("#")) return;
    if (/^[\d+*-]/.test(text)) return this.costs(text.split(/\s+/));
    const equals = /^([a-z]+)=(.*)$/.exec(text);
    if (equals) return this.named(equals[1], equals[2].trim());
    const colon = text.indexOf(":");
    if (colon > 0) this.header(text.slice(0, colon), text.slice(colon + 1).trim());
  }
}

export function readCallgrind(text) {
  const reading = new Reading();
  for (let at = 0; at < text.length;) {
    const end = text.indexOf("\n", at);
    reading.read(text.slice(at, end < 0 ? text.length : end));
    at = end < 0 ? text.length : end + 1;
  }
  if (!reading.events) throw new ReadError('It has no line "events:" with the names of metrics: it is cut off.');
  reading.metrics();
  return reading.graph;
}
