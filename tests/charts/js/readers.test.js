import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { test } from "node:test";

import { NAME_LETTERS, ReadError, clean } from "../../../workbench/report/js/readers/limits.js";
import { readDropped } from "../../../workbench/report/js/readers/read.js";
import { wholeTree, withCosts } from "../../../workbench/charts/flame/js/tree.js";
import { apartBy } from "../../../workbench/charts/flame/js/words.js";
import { totals } from "./small.js";

const read = (content, name = "file") => readDropped(name, new Blob([content]));
const paths = (payload, metric = 0) => totals(withCosts(wholeTree(payload), payload.cost), payload.functions.name, metric);
const refused = (content, words) => assert.rejects(read(content), (error) => error instanceof ReadError && words.test(error.message));

const SPEEDSCOPE = {
  shared: { frames: [{ name: "main", file: "a.rs" }, { name: "work" }] },
  profiles: [
    { type: "evented", name: "one", unit: "microseconds", startValue: 0, endValue: 10, events: [{ type: "O", frame: 0, at: 0 }, { type: "O", frame: 1, at: 2 }, { type: "C", frame: 1, at: 5 }, { type: "C", frame: 0, at: 10 }] },
    { type: "sampled", name: "two", unit: "microseconds", startValue: 0, endValue: 3, samples: [[0, 1], [0, 1], [0]], weights: [1, 1, 1] },
  ],
};

const FIREFOX = {
  meta: { interval: 1, version: 27, sampleUnits: { threadCPUDelta: "µs" } },
  threads: [{
    name: "main", tid: 7, stringArray: ["main", "work", "lib.so"],
    funcTable: { name: [0, 1], fileName: [null, null], resource: [-1, 0] }, resourceTable: { name: [2] },
    frameTable: { func: [0, 1], line: [null, 12] }, stackTable: { prefix: [null, 0], frame: [0, 1] },
    samples: { stack: [1, 1, 0, null], time: [0, 1, 2, 3], threadCPUDelta: [0, 900, 800, 10] },
  }],
};

test("folded stacks", async () => {
  const payload = await read("main;work 5\nmain;rest 2.5\n\n# said\nmain 1\nodd line\nmain;work 1\nmain;x 1\nmain;y 1\nmain;z 1\nmain;v 1\nmain;w 1\n");
  assert.equal(paths(payload)["all;main;work"], 6);
  assert.equal(paths(payload)["all;main;rest"], 2.5);
  assert.deepEqual(payload.remarks, ["1 lines are not a stack with a count."]);
});

test("speedscope: all profiles, with their time", async () => {
  const payload = await read(JSON.stringify(SPEEDSCOPE));
  assert.deepEqual(paths(payload), { all: 13_000, "all;main": 13_000, "all;main;work": 5_000 });
  assert.deepEqual(payload.time.threads, ["one", "two"]);
  const spans = payload.time.start.map((start, at) => [payload.time.thread[at], start, payload.time.end[at], payload.time.depth[at]]);
  assert.deepEqual(spans.sort().join(" "), [[0, 0, 10_000, 0], [0, 2_000, 5_000, 1], [1, 0, 2_000, 1], [1, 0, 3_000, 0]].join(" "));
});

test("Firefox: samples and CPU time of threads", async () => {
  const payload = await read(gzipSync(JSON.stringify(FIREFOX)));
  assert.deepEqual(paths(payload, 0), { all: 3, "all;main": 3, "all;main;work": 2 });
  assert.deepEqual(paths(payload, 1)["all;main"], 1_700_000);
  assert.deepEqual(payload.time.threads, ["main 7"]);
  assert.equal(payload.functions.object[1], "lib.so");
  assert.deepEqual([...payload.line], [0, 12]);
});

test("perf script: stacks below their program", async () => {
  const text = `# captured
prog name 4711/4712 [000] 12.345678:     250000 cycles:u:
\tffff0000 inner+0x12 (/usr/lib/lib (deleted).so)
\t     401 std::vec<a (b)>+0x3 (/bin/prog)

prog name 4711/4712 12.345999: cycles:u:
\t     401 outer (/bin/prog)
`;
  const payload = await read(text);
  assert.deepEqual(paths(payload), { all: 2, "all;prog name": 2, "all;prog name;std::vec<a (b)>": 1, "all;prog name;std::vec<a (b)>;inner": 1, "all;prog name;outer": 1 });
  assert.equal(paths(payload, 1).all, 250_001);
  assert.equal(payload.functions.object[payload.functions.name.indexOf("inner")], "/usr/lib/lib (deleted).so");
});

test("what is not known, cut or damaged is refused in a sentence", async () => {
  await refused("", /empty/);
  await refused("version: 1\ncreator: callgrind\nfn=main\n0 5\n", /not known here/);
  await refused('{"a": 1}', /another kind/);
  await refused('{"a": ', /not complete JSON/);
  await refused(new Uint8Array([0x7f, 0x45, 0, 0, 1]), /not known/);
  await refused(new Uint8Array([0x0a, 0x7f, 1]), /cut off/);
  await refused(gzipSync("main;a 5\n").subarray(0, 20), /gzip/);
  await refused(JSON.stringify({ shared: { frames: [] }, profiles: [{ type: "sampled", samples: [[4]], weights: [1] }] }), /Frame 4/);
  await refused(JSON.stringify({ shared: { frames: [null] }, profiles: [null] }), /damaged|lacks/);
  const looped = structuredClone(FIREFOX);
  looped.threads[0].stackTable.prefix = [1, 0];
  await refused(JSON.stringify(looped), /contains itself/);
});

test("every cut of a file is read or refused", async () => {
  for (const whole of [JSON.stringify(FIREFOX), JSON.stringify(SPEEDSCOPE), "main;work 5\nmain 1\n"]) {
    for (let end = 0; end < whole.length; end += 3) {
      await read(whole.slice(0, end)).catch((error) => assert.ok(error instanceof ReadError, `${end}: ${error.stack}`));
    }
  }
});

test("names are shown as what they are", async () => {
  const hostile = "</script><img src=x onerror=alert(1)>\u202e\u0000";
  assert.equal(clean(hostile), "</script><img src=x onerror=alert(1)>\\u202e\\x00");
  assert.equal(clean("x".repeat(5_000)).length, NAME_LETTERS + 1);
  const payload = await read(`__proto__;constructor;${"f;".repeat(5_000)}g 3\n`);
  assert.equal(paths(payload)["all;__proto__;constructor"], 3);
  assert.match(payload.remarks[0], /cut at their leaves/);
});

// each of these would take hours where a line, a name or a table were walked once a piece
test("what is made to be slow is not", { timeout: 60_000 }, async () => {
  const many = 200_000;
  await refused(`a${" ".repeat(4_000_000)}x\n`.repeat(3), /not known/);
  await read(`${"a ".repeat(1_000_000)};b 3\n`);
  await read(`app  101  1.000001:  1 cpu:\n\t 401 ${"f (".repeat(500_000)}${")".repeat(500_000)}\n\napp${" 1".repeat(500_000)}\n`);
  const threads = Array.from({ length: many }, (_, number) => ({ type: "sampled", name: `thread ${number}`, unit: "seconds", samples: [[0]], weights: [1] }));
  await read(JSON.stringify({ shared: { frames: [{ name: "f" }] }, profiles: threads }));
  const frames = Array.from({ length: many }, (_, number) => ({ name: "same", file: `${number}.rs` }));
  const alike = await read(JSON.stringify({ shared: { frames }, profiles: [] }));
  assert.equal(apartBy(alike.functions)[many - 1], `${many - 1}.rs`);
});

test("damaged pprof is read or refused", async () => {
  const text = (words) => [...new TextEncoder().encode(words)];
  const field = (number, bytes) => [number * 8 + 2, bytes.length, ...bytes];
  const whole = [
    ...field(1, [8, 1, 16, 2]), ...field(2, [...field(1, [1]), ...field(2, [5])]), ...field(4, [8, 1, ...field(4, [8, 1, 16, 9])]),
    ...field(5, [8, 1, 16, 3]), ...["", "cpu", "nanoseconds", "main"].flatMap((words) => field(6, text(words))),
  ];
  const payload = await read(new Uint8Array(whole));
  assert.deepEqual(paths(payload), { all: 5, "all;main": 5 });
  assert.deepEqual([payload.metrics[0].unit, payload.line[0]], ["ns", 9]);
  for (let at = 1; at < whole.length; at++) {
    for (const value of [0, 1, 127, 255]) {
      const damaged = new Uint8Array(whole);
      damaged[at] = value;
      await read(damaged).catch((error) => assert.ok(error instanceof ReadError, `${at}: ${error.stack}`));
    }
  }
});
