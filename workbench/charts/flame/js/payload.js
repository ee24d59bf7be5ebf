// The data to draw, as plain values: from packed bytes (see packing.py) or, for a file dropped on a page, from readers/.
//
// A payload has metrics, functions (name, raw, file, object, crate: one entry a function), the tree in preorder (depth,
// fn, line, flags), cost and, where two profiles are compared, before: a column a metric. What a profile lacks is null:
// measured (costs of functions), edges (caller, callee, calls, cost), lines (fn, file, line, self, total), time (spans).

import { unzipped } from "./unzip.js";

const TYPES = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array, f64: Float64Array };

export async function unpack(base64) {
  return parse(await unzipped(base64).arrayBuffer());
}

export function parse(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const column = (key) => {
    const [type, offset, count] = header.arrays[key];
    return new TYPES[type](buffer, 4 + length + offset, count);
  };
  const texts = (key) => Array.from(column(key), (number) => header.names[number]);
  const perMetric = (kind) => header.metrics.map((_, position) => column(`${kind}.${position}`));
  const part = (kind, make) => (kind in header.arrays ? make() : null);
  return {
    ...header,
    functions: {
      name: texts("function.function"), raw: texts("function.raw_function"), file: texts("function.file"),
      object: texts("function.object"), crate: texts("function.crate"),
    },
    depth: column("depth"), fn: column("fn"), line: column("line"), flags: column("flags"),
    cost: perMetric("cost"), before: header.compared ? perMetric("before") : null,
    measured: part("own.0", () => ({ self: perMetric("own"), total: perMetric("total") })),
    edges: part("edge.caller", () => ({
      caller: column("edge.caller"), callee: column("edge.callee"), calls: column("edge.calls"), cost: perMetric("edge"),
    })),
    lines: part("lines.fn", () => ({
      fn: column("lines.fn"), line: column("lines.line"), file: texts("lines.file"),
      self: perMetric("lines.self"), total: perMetric("lines.total"),
    })),
    time: part("time.start", () => ({
      threads: header.threads, beginsNs: header.begins_ns, thread: column("time.thread"), start: column("time.start"),
      end: column("time.end"), depth: column("time.depth"), fn: column("time.fn"),
    })),
  };
}
