// The Firefox Profiler's JSON, from Firefox, samply and others: threads with tables of stacks, frames and functions.

import { ReadError } from "./limits.js";
import { Stacks } from "./stacks.js";

const MS = 1e6; // ns

export const isFirefox = (data) => Array.isArray(data?.threads) && typeof data.meta === "object" && data.meta !== null;

export function readFirefox(data) {
  const stacks = new Stacks([{ name: "samples", unit: "count" }, { name: "cpu", unit: "ns" }]);
  const cpuScale = { ns: 1, "µs": 1e3, us: 1e3 }[data.meta.sampleUnits?.threadCPUDelta] ?? 0;
  for (const thread of data.threads) readThread(stacks, thread, data, cpuScale);
  if (!cpuScale) {
    stacks.metrics.pop();
    stacks.made.self.pop();
  }
  return stacks;
}

function readThread(stacks, thread, { shared, meta }, cpuScale) {
  // since version 56 of the format the tables are shared by all threads
  const tables = thread.stackTable ? thread : shared ?? thread;
  const { samples } = thread;
  if (!tables.stackTable || !samples) throw new ReadError("A thread lacks its table of stacks: it is an unprocessed profile.");
  const strings = tables.stringArray ?? tables.stringTable ?? shared?.stringArray ?? [];
  const fns = functionsOf(stacks, tables, strings), known = new Map([[null, 0]]);
  const name = `${thread.name || "thread"} ${thread.tid ?? ""}`.trim();
  const times = samples.time ?? runningSum(samples.timeDeltas ?? []);
  const interval = (meta.interval || 1) * MS;
  const { stack: ids = [], weight, threadCPUDelta: cpu } = samples;
  ids.forEach((id, number) => {
    const node = stackOf(stacks, tables, fns, known, id ?? null);
    const values = [weight?.[number] ?? 1, (cpu?.[number] ?? 0) * cpuScale];
    if (node) stacks.add(node, cpuScale ? values : values.slice(0, 1));
    const start = times[number] * MS;
    if (!Number.isFinite(start) || !node) return;
    const next = times[number + 1] * MS;
    stacks.sample(name, start, Math.min(start + 4 * interval, next >= start ? next : start + interval), stacks.fnsOf(node));
  });
}

function functionsOf(stacks, { frameTable, funcTable, resourceTable }, strings) {
  const word = (number) => strings[number] ?? "";
  return frameTable.func.map((func, frame) => {
    const resource = funcTable.resource?.[func] ?? -1;
    return {
      fn: stacks.fn(word(funcTable.name[func]), word(funcTable.fileName?.[func] ?? -1), word(resourceTable?.name?.[resource] ?? -1)),
      line: frameTable.line?.[frame] ?? 0,
    };
  });
}

// the node of a stack, made together with its ancestors
function stackOf(stacks, { stackTable }, fns, known, id) {
  const path = [];
  let above = id;
  while (!known.has(above)) {
    path.push(above);
    above = stackTable.prefix ? stackTable.prefix[above] : null;
    if (path.length > stackTable.frame.length) throw new ReadError("A stack in it contains itself.");
    if (above === undefined || above === -1) above = null;
  }
  for (const inner of path.reverse()) {
    const frame = fns[stackTable.frame[inner]];
    if (!frame) throw new ReadError(`Stack ${inner} has a frame that is not in its table.`);
    known.set(inner, stacks.node(known.get(above), frame.fn, frame.line));
    above = inner;
  }
  return known.get(id);
}

function runningSum(deltas) {
  let sum = 0;
  return deltas.map((delta) => (sum += delta));
}
