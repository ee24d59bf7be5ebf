// Text formats: folded stacks and what `perf script` prints.

import { ReadError } from "./limits.js";
import { Stacks } from "./stacks.js";

const FOLDED = /^(\S.*?)\s+(-?\d+(?:\.\d+)?)\s*$/;

// At least nine in ten of the first lines are stacks, and one of them has two frames or all are one name and a number
export function isFolded(text) {
  const lines = text.slice(0, 65536).split("\n").slice(0, 200).filter((line) => line.trim() && !line.startsWith("#"));
  const stacks = lines.filter((line) => FOLDED.test(line.trimEnd()));
  return stacks.length > 0 && stacks.length >= 0.9 * lines.length && stacks.some((line) => line.includes(";"));
}

// austin's frames have a path, a name and a line; its costs are microseconds, or bytes
const AUSTIN = /^# austin:/m;
const AUSTIN_FRAME = /^(.+):([^:]*):(\d+)$/;

export function readFolded(text) {
  const austin = AUSTIN.test(text.slice(0, 4096));
  const mode = /^# mode: (\w+)/m.exec(text.slice(0, 4096))?.[1];
  const metric = { name: mode ?? "samples", unit: mode === "memory" ? "bytes" : "us" };
  const stacks = new Stacks([austin ? metric : { name: "samples", unit: "count" }]);
  let odd = 0;
  for (const line of text.split("\n")) {
    if (!line.trim() || line.startsWith("#")) continue;
    const found = FOLDED.exec(line.trimEnd());
    if (!found) {
      odd++;
      continue;
    }
    const frames = found[1].split(";").filter(Boolean).map((frame) => (austin ? austinFrame(stacks, frame) : [stacks.fn(frame), 0]));
    stacks.add(stacks.path(frames.map(([fn]) => fn), frames.map(([, at]) => at)), [Number(found[2])]);
  }
  if (odd) stacks.notes.add(`${odd.toLocaleString("en-GB")} lines are no stack with a count.`);
  return stacks;
}

function austinFrame(stacks, frame) {
  const found = AUSTIN_FRAME.exec(frame);
  return found && !/^[PT]\d/.test(frame) ? [stacks.fn(found[2], found[1]), Number(found[3])] : [stacks.fn(frame), 0];
}

// comm, pid[/tid], perhaps [cpu], time:, perhaps a period, event:
const HEAD = /^(\S.*?)\s+(-?\d+)(?:\/(-?\d+))?\s+(?:\[\d+\]\s+)?(?:(\d+\.\d+):\s+)?(?:(\d+)\s+)?(\S+?):(?:\s.*)?$/;
const FRAME = /^\s+([0-9a-f]+) (.*?)(?: \(([^()]*(?:\([^()]*\)[^()]*)*)\))?\s*$/;

export function isPerf(text) {
  const lines = text.slice(0, 65536).split("\n").filter((line) => !line.startsWith("#"));
  return lines.some((line, at) => HEAD.test(line) && FRAME.test(lines[at + 1] ?? ""));
}

export function readPerf(text) {
  const stacks = new Stacks([{ name: "samples", unit: "count" }, { name: "period", unit: "count" }]);
  const events = new Set();
  let head = null, frames = [];
  const finish = () => {
    if (head && frames.length) {
      events.add(head[6]);
      const fns = [stacks.fn(head[1]), ...frames.reverse()];
      stacks.add(stacks.path(fns), [1, Number(head[5] ?? 1)]);
    }
    head = null;
    frames = [];
  };
  for (const line of text.split("\n")) {
    if (!line.trim()) finish();
    else if (/^\s/.test(line) && head) {
      const found = FRAME.exec(line);
      if (found) frames.push(stacks.fn(found[2].replace(/\+0x[0-9a-f]+$/, ""), "", found[3] ?? ""));
    } else if (!line.startsWith("#")) {
      finish();
      head = HEAD.exec(line);
    }
  }
  finish();
  if (!events.size) throw new ReadError("No sample with a stack is in it.");
  if (events.size > 1) stacks.notes.add(`Samples of several events are counted together: ${[...events].slice(0, 8).join(", ")}.`);
  return stacks;
}
