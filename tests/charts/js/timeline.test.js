import assert from "node:assert/strict";
import { test } from "node:test";

import { busyTime, clock, ticks, timeLayout, timeTree } from "../../../workbench/charts/flame/js/timeline.js";
import { neighbour } from "../../../workbench/charts/flame/js/input.js";
import { payloadOf } from "./small.js";

// two threads; the second has a span that began before another of its depth was over, as damaged files have them
const time = {
  threads: ["main", "worker"], beginsNs: 0,
  thread: [1, 0, 0, 0, 1], start: [40, 0, 10, 60, 50], end: [90, 100, 50, 60, 70], depth: [0, 0, 1, 1, 7], fn: [0, 0, 1, 2, 1],
};
const payload = payloadOf({ "f;g": 1, h: 1 }, { time });
const tree = timeTree(payload);
const layout = timeLayout(tree);

test("spans stand below their thread in the order of time", () => {
  assert.deepEqual([...tree.depth], [0, 1, 2, 3, 3, 1, 2, 3]);
  assert.deepEqual([...tree.parent], [-1, 0, 1, 2, 2, 0, 5, 6]);
  assert.deepEqual([...tree.start], [0, 0, 0, 10, 60, 0, 40, 50]);
  assert.deepEqual([...tree.total[0]], [100, 100, 100, 40, 0, 100, 50, 20]);
  assert.deepEqual([...tree.self[0]], [0, 0, 60, 40, 0, 0, 30, 20]);
  assert.equal(busyTime(tree), 150);
});

test("each thread has rows of its own, and what took no time can be seen", () => {
  assert.deepEqual(layout.rows.map((row) => [...row]), [[0], [1], [2], [3, 4], [5], [6], [7]]);
  assert.deepEqual([...layout.rowOf], [0, 1, 2, 3, 3, 4, 5, 6]);
  assert.equal(layout.width[4], 1);
  assert.deepEqual(layout.threads, [1, 5]);
});

test("arrow keys go from thread to thread and into spans", () => {
  const at = (focus) => ({ tree, layout, focus, range: [0, 100], upward: false });
  assert.equal(neighbour(at(0), "ArrowDown"), 1);
  assert.equal(neighbour(at(1), "ArrowRight"), 5);
  assert.equal(neighbour(at(5), "ArrowDown"), 6);
  assert.equal(neighbour(at(3), "ArrowRight"), 4);
  assert.equal(neighbour(at(3), "ArrowUp"), 2);
  assert.equal(neighbour(at(3), "ArrowDown"), undefined);
  assert.equal(neighbour(at(3), "x"), false);
});

test("ticks are round numbers, not too many", () => {
  assert.deepEqual(ticks(0, 100, 5), { step: 20, places: [0, 20, 40, 60, 80, 100] });
  assert.deepEqual(ticks(3, 9, 3).places, [4, 6, 8]);
  assert.deepEqual(ticks(5, 5, 3).places, []);
  for (const [low, high] of [[0, 1e15], [1e9, 1e9 + 3], [7, 7.001e12]]) assert.ok(ticks(low, high, 8).places.length <= 9);
});

test("times are as exact as the step between them", () => {
  assert.equal(clock(1_500_000, 500_000), "1.5 ms");
  assert.equal(clock(2_000_000_000, 1_000), "2.000000 s");
  assert.equal(clock(0, 20), "0 ns");
});
