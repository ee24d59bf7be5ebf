// speedscope's JSON (file-format-schema.json of speedscope.app): sampled and evented profiles.

import { ReadError } from "./limits.js";
import { Stacks } from "./stacks.js";

const UNITS = { nanoseconds: ["ns", 1], microseconds: ["ns", 1e3], milliseconds: ["ns", 1e6], seconds: ["ns", 1e9], bytes: ["bytes", 1], none: ["count", 1] };

export const isSpeedscope = (data) => Array.isArray(data?.shared?.frames) && Array.isArray(data.profiles);

export function readSpeedscope(data) {
  const [unit] = UNITS[data.profiles[0]?.unit] ?? UNITS.none;
  const stacks = new Stacks([{ name: unit === "ns" ? "time" : "weight", unit }]);
  const frames = data.shared.frames.map((frame) => stacks.fn(text(frame?.name), text(frame?.file)));
  const names = new Map();
  for (const profile of data.profiles) {
    const [own, scale] = UNITS[profile?.unit] ?? UNITS.none;
    if (own !== unit) {
      stacks.notes.add(`A profile in ${own} is left out: the first is in ${unit}.`);
      continue;
    }
    const base = text(profile.name) || "profile", count = (names.get(base) ?? 0) + 1;
    names.set(base, count);
    const thread = count > 1 ? `${base} #${count}` : base;
    const frame = (number) => {
      if (frames[number] === undefined) throw new ReadError(`Frame ${number} is not in its list of frames.`);
      return frames[number];
    };
    (profile.type === "evented" ? evented : sampled)(stacks, profile, { frame, scale, thread: unit === "ns" ? thread : null });
  }
  return stacks;
}

const text = (value) => (typeof value === "string" ? value : "");

function sampled(stacks, { samples, weights, startValue }, { frame, scale, thread }) {
  if (!Array.isArray(samples) || !Array.isArray(weights)) throw new ReadError("A sampled profile lacks samples or weights.");
  let at = (startValue || 0) * scale;
  samples.forEach((sample, number) => {
    const fns = sample.map(frame), weight = (weights[number] ?? 0) * scale;
    stacks.add(stacks.path(fns), [weight]);
    if (thread !== null && weight >= 0) stacks.sample(thread, at, at + weight, fns);
    at += weight;
  });
}

function evented(stacks, { events, endValue }, { frame, scale, thread }) {
  if (!Array.isArray(events)) throw new ReadError("An evented profile lacks its events.");
  const open = [];
  let last = 0;
  const until = (at) => {
    if (open.length) stacks.add(open[open.length - 1].node, [(at - last) * scale]);
    last = at;
  };
  const close = (at) => {
    const { fn, start } = open.pop();
    if (thread !== null) stacks.span(thread, { fn, start: start * scale, end: at * scale, depth: open.length });
  };
  for (const { type, frame: number, at } of events) {
    if (!(at >= last) && open.length) throw new ReadError("Its events are not in order of time.");
    until(at);
    if (type === "O") open.push({ fn: frame(number), node: stacks.node(open[open.length - 1]?.node ?? 0, frame(number)), start: at });
    else if (open.length) close(at);
  }
  if (open.length) {
    stacks.notes.add(`${open.length} calls are never closed: they end with the profile.`);
    const end = Math.max(last, endValue || last);
    until(end);
    while (open.length) close(end);
  }
}
