// Text formats: folded stacks and the output of `perf script`.

import { ReadError } from "./limits.js";
import { Stacks } from "./stacks.js";

// Lines can be of any length, so no regular expression may scan one more than once.

const COUNT = /^-?\d+(?:\.\d+)?$/;

// stack and count of a line of folded stacks; null if it is not one
function foldedLine(line) {
  const text = line.trimEnd();
  const at = Math.max(text.lastIndexOf(" "), text.lastIndexOf("\t"));
  if (at <= 0 || /^\s/.test(text) || text.length - at > 40 || !COUNT.test(text.slice(at + 1))) return null;
  return [text.slice(0, at).trimEnd(), Number(text.slice(at + 1))];
}

const HEAD_LINES = 200;
const HEAD_LETTERS = 4 * 1024 * 1024;

// the first complete lines without comments
function firstLines(text) {
  const lines = text.slice(0, HEAD_LETTERS).split("\n", HEAD_LINES);
  if (text.length > HEAD_LETTERS && lines.length < HEAD_LINES) lines.pop();
  return lines.filter((line) => !line.startsWith("#"));
}

// At least nine in ten of the first lines are stacks, and one of them has two frames
export function isFolded(text) {
  const lines = firstLines(text).filter((line) => line.trim());
  const stacks = lines.filter(foldedLine);
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
    const found = foldedLine(line);
    if (!found) {
      odd++;
      continue;
    }
    const frames = found[0].split(";").filter(Boolean).map((frame) => (austin ? austinFrame(stacks, frame) : [stacks.fn(frame), 0]));
    stacks.add(stacks.path(frames.map(([fn]) => fn), frames.map(([, at]) => at)), [found[1]]);
  }
  if (odd) stacks.notes.add(`${odd.toLocaleString("en-GB")} lines are not a stack with a count.`);
  return stacks;
}

function austinFrame(stacks, frame) {
  const found = AUSTIN_FRAME.exec(frame);
  return found && !/^[PT]\d/.test(frame) ? [stacks.fn(found[2], found[1]), Number(found[3])] : [stacks.fn(frame), 0];
}

// comm, pid[/tid], perhaps [cpu], time:, perhaps a period, event:
const HEAD = /^(\S.{0,63}?)\s{1,16}(-?\d{1,10})(?:\/(-?\d{1,10}))?\s{1,16}(?:\[\d{1,6}\]\s{1,16})?(?:(\d{1,12}\.\d{1,9}):\s{1,16})?(?:(\d{1,20})\s{1,16})?(\S{1,200}?):(?:\s|$)/;
const FRAME = /^\s+[0-9a-f]+ \S/;

// name and object of a frame, as "7f00 name+0x1f (/lib/name (deleted).so)"
function frameOf(line) {
  const text = line.trim();
  let name = text.slice(text.indexOf(" ") + 1), object = "";
  if (name.endsWith(")")) {
    let open = 1, at = name.length - 1;
    while (open && --at >= 0) open += { ")": 1, "(": -1 }[name[at]] ?? 0;
    if (at >= 1 && name[at - 1] === " ") {
      object = name.slice(at + 1, -1);
      name = name.slice(0, at - 1);
    }
  }
  const offset = name.lastIndexOf("+0x");
  return [offset > 0 && /^[0-9a-f]{1,16}$/.test(name.slice(offset + 3, offset + 20)) ? name.slice(0, offset) : name, object];
}

export function isPerf(text) {
  const lines = firstLines(text);
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
      if (!FRAME.test(line)) continue;
      const [name, object] = frameOf(line);
      frames.push(stacks.fn(name, "", object));
    } else if (!line.startsWith("#")) {
      finish();
      head = HEAD.exec(line);
    }
  }
  finish();
  if (!events.size) throw new ReadError("It has no sample with a stack.");
  if (events.size > 1) stacks.notes.add(`Samples of several events are counted together: ${[...events].slice(0, 8).join(", ")}.`);
  return stacks;
}
