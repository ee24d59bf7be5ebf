// pprof's profile.proto (proto/profile.proto of google/pprof), read field by field.

import { ReadError } from "./limits.js";
import { Stacks } from "./stacks.js";

const EXACT_BYTES = 7; // this many bytes of seven bits are exact as a JavaScript number

// Bytes in the wire format of protobuf.
class Wire {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  get more() { return this.at < this.bytes.length; }

  varint() {
    const { bytes } = this;
    let value = 0, scale = 1;
    for (let count = 0; count < EXACT_BYTES; count++, scale *= 128) {
      const byte = bytes[this.at++];
      if (byte === undefined) throw new ReadError("It is cut off within a number.");
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    return this.long(BigInt(value));
  }

  // the rest of a number of 64 bits with a sign
  long(low) {
    let value = low;
    for (let shift = 49n; shift < 70n; shift += 7n) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) throw new ReadError("It is cut off within a number.");
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return Number(BigInt.asIntN(64, value));
    }
    throw new ReadError("A number in it is too long: it is not a pprof profile.");
  }

  // the fields of a message: number, and value (a number, or the bytes inside)
  * fields() {
    while (this.more) {
      const tag = this.varint(), kind = tag % 8, number = (tag - kind) / 8;
      if (kind === 0) yield [number, this.varint()];
      else {
        const size = kind === 2 ? this.varint() : { 1: 8, 5: 4 }[kind];
        if (!(size >= 0) || this.at + size > this.bytes.length) throw new ReadError("It is cut off or not a pprof profile.");
        this.at += size;
        yield [number, this.bytes.subarray(this.at - size, this.at)];
      }
    }
  }
}

const fields = (bytes) => new Wire(bytes).fields();

// repeated numbers come packed or one by one
function numbers(value) {
  if (typeof value === "number") return [value];
  const wire = new Wire(value), found = [];
  while (wire.more) found.push(wire.varint());
  return found;
}

const REPEATED = { sample: new Set([1, 2]) };

function message(bytes, kind = "") {
  const found = {};
  for (const [number, value] of fields(bytes)) {
    if (REPEATED[kind]?.has(number)) (found[number] ??= []).push(...numbers(value));
    else if (kind === "location" && number === 4) (found[4] ??= []).push(value);
    else found[number] = value;
  }
  return found;
}

function tablesOf(bytes) {
  const tables = { types: [], samples: [], mappings: new Map(), locations: new Map(), functions: new Map(), strings: [] };
  const text = new TextDecoder();
  for (const [number, value] of fields(bytes)) {
    if (typeof value === "number") {
      if (number === 14) tables.shown = value;
    } else if (number === 1) tables.types.push(message(value));
    else if (number === 2) tables.samples.push(value);
    else if (number === 3 || number === 5) {
      const found = message(value);
      tables[number === 3 ? "mappings" : "functions"].set(found[1] ?? 0, found);
    } else if (number === 4) {
      const found = message(value, "location");
      tables.locations.set(found[1] ?? 0, found);
    } else if (number === 6) tables.strings.push(text.decode(value));
  }
  return tables;
}

const UNITS_SHORT = new Map([["nanoseconds", "ns"], ["microseconds", "us"], ["milliseconds", "ms"], ["seconds", "s"]]);
const unitOf = (unit) => UNITS_SHORT.get(unit) ?? (unit || "count");

export function readPprof(bytes) {
  const tables = tablesOf(bytes);
  const { types, samples, strings } = tables;
  if (!types.length || strings[0] !== "") throw new ReadError("It is not a pprof profile: it has no sample types or no strings.");
  const stacks = new Stacks(types.map((type) => ({ name: strings[type[1]] || "value", unit: unitOf(strings[type[2]]) })));
  const frames = new Map();
  for (const [id, location] of tables.locations) frames.set(id, framesOf(stacks, tables, location));
  for (const packed of samples) {
    const sample = message(packed, "sample");
    const fns = [], lines = [];
    for (const id of (sample[1] ?? []).reverse()) {
      for (const { fn, line } of frames.get(id) ?? []) {
        fns.push(fn);
        lines.push(line);
      }
    }
    stacks.add(stacks.path(fns, lines), types.map((_, metric) => sample[2]?.[metric] ?? 0));
  }
  const shown = types.findIndex((type) => type[1] !== undefined && type[1] === tables.shown);
  return { stacks, metric: shown < 0 ? types.length - 1 : shown };
}

// outermost first: a location's lines are the innermost inlined first
function framesOf(stacks, { mappings, functions, strings }, location) {
  const object = strings[mappings.get(location[2])?.[5]] ?? "";
  const lines = (location[4] ?? []).map((packed) => {
    const { 1: id, 2: line = 0 } = message(packed), fn = functions.get(id) ?? {};
    return { fn: stacks.fn(strings[fn[2]] || strings[fn[3]] || "", strings[fn[4]] ?? "", object), line: line > 0 ? line : 0 };
  });
  return lines.length ? lines.reverse() : [{ fn: stacks.fn(`0x${(location[3] ?? 0).toString(16)}`, "", object), line: 0 }];
}
