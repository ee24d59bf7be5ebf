import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { test } from "node:test";

import { apartBy, brief, inUnit, percent, share, shortened, signed } from "../../../workbench/charts/flame/js/words.js";
import { parse, unpack } from "../../../workbench/charts/flame/js/payload.js";

test("numbers in words", () => {
  assert.equal(inUnit(3_221_225_472, "bytes"), "3,221,225,472 bytes (3 GiB)");
  assert.equal(inUnit(1_500, "ns"), "1,500 ns (1.5 µs)");
  assert.equal(inUnit(2 ** 53 + 2, "count"), "about 9,007,199,254,740,994");
  assert.equal(brief(241_180_500, "count"), "241 M");
  assert.equal(brief(-7_627, "count"), "−7,627");
  assert.equal(percent(1, 3), "33.3 %");
  assert.equal(percent(-1, 4), "−25 %");
  assert.equal(percent(1e-9, 1), "<0.001 %");
  assert.equal(percent(1, 0), "–");
  assert.deepEqual([share(1, 3), share(1, 1e9), share(-1, 4), share(0, 5), share(1, 0)], ["33.33 %", "<0.01 %", "−25.00 %", "0.00 %", "–"]);
  assert.equal(signed("5", 5), "+5");
  assert.equal(signed("-5", -5), "−5");
});

test("names are cut where they tell least", () => {
  assert.equal(shortened("alloc::vec::Vec::push", 10), "…Vec::push");
  assert.equal(shortened("reallocate", 5), "real…");
  assert.equal(shortened("ab", 5), "ab");
});

test("functions of one name are told apart by what differs", () => {
  const facts = (name, file, object = name.map(() => ""), raw = name) => apartBy({ name, file, object, raw });
  assert.deepEqual(facts(["f", "g"], ["a.c", "a.c"]), ["", ""]);
  assert.deepEqual(facts(["f", "f"], ["x/a.c", "x/b.c"]), ["a.c", "b.c"]);
  assert.deepEqual(facts(["f", "f"], ["x/a.c", "y/a.c"]), ["x/a.c", "y/a.c"]);
  assert.deepEqual(facts(["f", "f"], ["", ""], ["/lib/one.so", "/lib/two.so"]), ["one.so", "two.so"]);
  assert.deepEqual(facts(["f", "f"], ["", ""], ["", ""], ["f<u8>", "f<u16>"]), ["f<u8>", "f<u16>"]);
  assert.deepEqual(facts(["f", "f"], ["a.c", "a.c"]), ["a.c, f #1", "a.c, f #2"]);
});

test("what Python packed is read", async () => {
  const header = {
    metrics: [{ name: "cpu", unit: "ns" }], compared: false, names: ["f", "a.rs", ""],
    arrays: {
      depth: ["u8", 0, 1], fn: ["u8", 8, 1], line: ["u16", 16, 1], flags: ["u8", 24, 1], "function.function": ["u8", 32, 1],
      "function.raw_function": ["u8", 32, 1], "function.file": ["u8", 40, 1], "function.object": ["u8", 48, 1],
      "function.crate": ["u8", 48, 1], "cost.0": ["f64", 56, 1],
    },
  };
  let text = JSON.stringify(header);
  text += " ".repeat((8 - ((text.length + 4) % 8)) % 8);
  const body = Buffer.alloc(64);
  body.writeUInt16LE(70, 16);
  body.writeUInt8(1, 40);
  body.writeUInt8(2, 48);
  body.writeDoubleLE(2.5, 56);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  const bytes = Buffer.concat([length, Buffer.from(text), body]);
  const payload = parse(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  assert.deepEqual(payload.functions.file, ["a.rs"]);
  assert.deepEqual([payload.line[0], payload.cost[0][0], payload.time, payload.edges], [70, 2.5, null, null]);
  assert.equal((await unpack(gzipSync(bytes).toString("base64"))).names[0], "f");
});
