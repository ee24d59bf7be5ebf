// Numbers and bars in words.

import { ASSUMED, CUT, INLINED, TRIMMED, changeOf } from "./tree.js";
import { clock } from "./timeline.js";

const SCALES = { ns: 1e-9, us: 1e-6, "µs": 1e-6, ms: 1e-3, s: 1 };
const EXACT_UP_TO = Number.MAX_SAFE_INTEGER;

export function plainNumber(value) {
  if (Number.isInteger(value)) return (Math.abs(value) > EXACT_UP_TO ? "about " : "") + value.toLocaleString("en-GB");
  return Number(value.toPrecision(10)).toLocaleString("en-GB", { maximumFractionDigits: 12 });
}

export function inUnit(value, unit) {
  const text = unit === "count" ? plainNumber(value) : `${plainNumber(value)} ${unit}`;
  const short = rounded(value, unit);
  return short && short !== text ? `${text} (${short})` : text;
}

// like figure() in numbers.py: three digits of small numbers, no fractions of large ones
const in3 = (number) => Math.abs(number) >= 999.5
  ? Math.round(number).toLocaleString("en-GB")
  : Number(number.toPrecision(3)).toLocaleString("en-GB", { maximumFractionDigits: 12 });

// with three digits in the most readable unit; "" if that adds nothing
export function rounded(value, unit) {
  const size = Math.abs(value);
  if (unit === "bytes") {
    const step = Math.min(4, Math.floor(Math.log2(Math.max(1, size)) / 10));
    return step ? `${in3(value / 1024 ** step)} ${["", "KiB", "MiB", "GiB", "TiB"][step]}` : "";
  }
  if (!(unit in SCALES) || !value) return "";
  const seconds = size * SCALES[unit];
  const [name, scale] = [["s", 1], ["ms", 1e-3], ["µs", 1e-6], ["ns", 1e-9]].find(([, least]) => seconds >= least) ?? ["ns", 1e-9];
  return `${in3((value * SCALES[unit]) / scale)} ${name}`;
}

// a number for a narrow column
export function brief(exact, unit) {
  const size = Math.abs(exact);
  // fractions do not matter from a thousand on (a scaled count has them)
  const value = size >= 1000 ? Math.round(exact) : exact;
  const [name, scale] = [["G", 1e9], ["M", 1e6]].find(([, least]) => size >= least) ?? ["", 1];
  const text = rounded(value, unit) || (name ? `${in3(value / scale)} ${name}` : plainNumber(value));
  return text.replace("-", "−");
}

export function percent(value, whole) {
  if (!(whole > 0)) return "–";
  const part = (100 * value) / whole;
  if (part !== 0 && Math.abs(part) < 0.001) return `${part < 0 ? "−" : ""}<0.001 %`;
  return `${Number(part.toPrecision(3))} %`.replace("-", "−");
}

// a share for a narrow column, always with two decimals
export function share(value, whole) {
  if (!(whole > 0)) return "–";
  const text = Math.abs((100 * value) / whole).toFixed(2);
  const sign = value < 0 ? "−" : "";
  return value !== 0 && text === "0.00" ? `${sign}<0.01 %` : `${sign}${text} %`;
}

// the last two parts of a path
export const lastParts = (path) => path.split(/[\\/]/).slice(-2).join("/");

export const signed = (text, value) => (value > 0 ? `+${text}` : text.replace("-", "−"));

// keep the end of a path, the beginning of other names
export function shortened(text, length) {
  if (text.length <= length) return text;
  if (length < 3) return "";
  return /::|\//.test(text) ? `…${text.slice(1 - length)}` : `${text.slice(0, length - 1)}…`;
}

const baseName = (path) => path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1);

// What distinguishes functions of one name, a text for each: "" if the name is unique, otherwise file or object, else
// the raw name in the profile, else a number.
export function apartBy({ name, raw, file, object }) {
  const groups = new Map();
  name.forEach((text, fn) => {
    if (groups.has(text)) groups.get(text).push(fn);
    else groups.set(text, [fn]);
  });
  const told = name.map(() => "");
  for (const members of groups.values()) {
    if (members.length < 2) continue;
    const distinct = (text) => new Set(members.map(text)).size === members.length;
    const ways = [(fn) => baseName(file[fn]), (fn) => baseName(object[fn]), (fn) => file[fn], (fn) => object[fn], (fn) => raw[fn]];
    const both = (fn) => [file[fn], object[fn], raw[fn]].filter(Boolean).join(", ");
    const way = ways.find(distinct) ?? (distinct(both) ? both : (fn, at) => `${both(fn)} #${at + 1}`.trim());
    members.forEach((fn, at) => { told[fn] = way(fn, at); });
  }
  return told;
}

// what the width of a bar means, by the kind of tree
function aboutCost(role, depth) {
  if (role === "leaves" && depth === 1) return "self";
  return depth > 0 && role !== "roots" && role !== "callees" ? "through this caller" : "total";
}

// A bar described in lines, the name first: for the tip, the line below and screen readers.
export function described(model, tree, node, role) {
  const of = tree.fn[node], facts = model.payload.functions;
  const lines = [model.nameOf(of)];
  const isFunction = of < facts.name.length;
  if (isFunction && facts.raw[of] !== facts.name[of]) lines.push(facts.raw[of]);
  if (role === "time") lines.push(...timeLines(tree, node, model));
  else if (tree.total.length === 2) lines.push(...changeLines(model, tree, node, role));
  else lines.push(...costLines(model, tree, node, role));
  return isFunction ? [...lines, ...placeLines(facts, tree, node)] : lines;
}

function costLines({ payload, metric, whole }, tree, node, role) {
  const { unit, name } = payload.metrics[metric];
  const cost = (value) => `${inUnit(value, unit)}, ${percent(value, whole[0])}`;
  const lines = [`${name}, ${aboutCost(role, tree.depth[node])}: ${cost(tree.total[0][node])}`];
  if (role === "roots" || role === "callees") lines.push(`self: ${cost(tree.self[0][node])}`);
  return lines;
}

function changeLines({ payload, metric, whole }, tree, node, role) {
  const { unit, name } = payload.metrics[metric];
  const { after, before, added, removed } = changeOf(tree, node);
  const cost = (value, side) => `${inUnit(value, unit)}, ${percent(value, whole[side])}`;
  const change = signed(inUnit(after - before, unit), after - before);
  const ratio = before > 0 && !removed && !added ? ` (${signed(percent(after - before, before), after - before)})` : "";
  return [
    `${name}, ${aboutCost(role, tree.depth[node])}: after ${cost(after, 0)}; before ${cost(before, 1)}`,
    added ? `new: ${change}` : removed ? `gone: ${change}` : after === before ? "no change" : `change: ${change}${ratio}`,
  ];
}

function timeLines(tree, node, { payload }) {
  const duration = tree.total[0][node], whole = tree.total[0][0];
  const cost = (value) => `${inUnit(value, "ns")}, ${percent(value, whole)}`;
  const lines = [`time: ${cost(duration)} of the time shown`];
  if (tree.depth[node] < 2) return lines;
  const step = Math.max(1, duration / 100);
  lines.push(`self: ${cost(tree.self[0][node])}`, `from ${clock(tree.start[node], step)} to ${clock(tree.start[node] + duration, step)}`);
  let above = node;
  while (tree.depth[above] > 1) above = tree.parent[above];
  lines.push(`thread ${payload.time.threads[tree.fn[above] - payload.functions.name.length - 1]}`);
  return lines;
}

function placeLines(facts, tree, node) {
  const of = tree.fn[node], flags = tree.flags[node], lines = [];
  const place = facts.file[of] && (tree.line[node] ? `${facts.file[of]}:${tree.line[node]}` : facts.file[of]);
  const where = [place, facts.crate[of] && `crate ${facts.crate[of]}`, facts.object[of]].filter(Boolean);
  if (where.length) lines.push(where.join(", "));
  if ("start" in tree) return lines;
  const marks = [flags & ASSUMED ? "assumed: the profile does not tell how much of this function's cost belongs here" : "exact"];
  if (flags & INLINED) marks.push("inlined");
  if (flags & TRIMMED) marks.push("sum of bars too small to keep");
  if (flags & CUT) marks.push("its callers are not shown here: press Callers and callees");
  return [...lines, marks.join("; ")];
}
