import assert from "node:assert/strict";
import { test } from "node:test";

import { WIDTHS, firstBeyond, laidOut } from "../../../workbench/charts/flame/js/layout.js";
import { calleesOf, callersOf, inverted } from "../../../workbench/charts/flame/js/regroup.js";
import { edgeRows, functionRows, lineRows, neighbourRows, sorted } from "../../../workbench/charts/flame/js/beside_rows.js";
import { held, matcher, matching } from "../../../workbench/charts/flame/js/search.js";
import { wholeTree, withCosts } from "../../../workbench/charts/flame/js/tree.js";
import { payloadOf, totals } from "./small.js";

const STACKS = { "main;run;poll": 50, "main;run;park": 20, "main;walk;step;walk;step;alloc": 12, "main;walk;step": 8 };
const payload = payloadOf(STACKS);
const names = payload.functions.name;
const tree = withCosts(wholeTree(payload), payload.cost);
const fn = (name) => names.indexOf(name);
const byName = (rows, column = "total") => Object.fromEntries(rows.map((row) => [names[row.fn], row[column][0]]));

test("totals are sums of what is below", () => {
  const found = totals(tree, names);
  assert.equal(found.all, 90);
  assert.equal(found["all;main;run"], 70);
  assert.equal(found["all;main;walk;step"], 20);
});

test("leaves first holds each self cost once", () => {
  const found = totals(inverted(tree, names.length, WIDTHS.after), names);
  assert.equal(found.all, 90);
  assert.equal(found["all;step"], 8);
  assert.equal(found["all;alloc;step;walk;step"], 12);
});

test("callers and callees count recursion once", () => {
  assert.deepEqual(totals(callersOf(tree, fn("walk"), WIDTHS.after), names), { walk: 20, "walk;main": 20 });
  const callees = totals(calleesOf(tree, fn("walk"), WIDTHS.after), names);
  assert.equal(callees["walk;step"], 20);
  assert.equal(callees["walk;step;walk;step;alloc"], 12);
});

test("bars lie beside each other, the largest first, inside their parent", () => {
  const { x, width, rows } = laidOut(tree, WIDTHS.after);
  for (const row of rows.slice(1)) {
    for (const node of row) assert.ok(x[node] >= x[tree.parent[node]] && x[node] + width[node] <= x[tree.parent[node]] + width[tree.parent[node]]);
  }
  assert.deepEqual([...rows[2]].map((node) => names[tree.fn[node]]), ["run", "walk"]);
  assert.equal(firstBeyond({ x, width }, rows[2], 69), 0);
  assert.equal(firstBeyond({ x, width }, rows[2], 70), 1);
});

test("a cost below zero is as wide as its size", () => {
  const negative = payloadOf({ "main;less": -30, "main;more": 10 });
  const costs = withCosts(wholeTree(negative), negative.cost);
  const { width } = laidOut(costs, WIDTHS.after);
  assert.deepEqual([...width], [40, 40, 30, 10]);
  assert.deepEqual([...costs.total[0]], [-20, -20, -30, 10]);
});

test("the functions of what is seen: self, and total with recursion once", () => {
  assert.deepEqual(byName(functionRows(tree, null)), { main: 90, run: 70, poll: 50, park: 20, walk: 20, step: 20, alloc: 12 });
  assert.deepEqual(byName(functionRows(tree, null), "self"), { main: 0, run: 0, poll: 50, park: 20, walk: 0, step: 8, alloc: 12 });
  const run = [...tree.fn].indexOf(fn("run"));
  assert.deepEqual(byName(functionRows(tree, null, run)), { run: 70, poll: 50, park: 20 });
  const measured = { self: [[1, 2]], total: [[3, 4]] };
  assert.deepEqual(functionRows(tree, measured).map((row) => row.total[0]), [3, 4]);
});

test("callers and callees by the tree, or as they were measured", () => {
  assert.deepEqual(byName(neighbourRows(tree, fn("step"), "callers")), { walk: 20 });
  assert.deepEqual(byName(neighbourRows(tree, fn("step"), "callees")), { walk: 12, alloc: 12 });
  assert.deepEqual(byName(neighbourRows(tree, fn("main"), "callers")), {});
  const edges = { caller: [0, 0, 1], callee: [1, 2, 2], calls: [5, 6, 7], cost: [[10, 20, 30]] };
  assert.deepEqual(edgeRows(edges, 0, 2, "callers").map((row) => [row.fn, row.total[0], row.calls]), [[0, 20, 6], [1, 30, 7]]);
  assert.deepEqual(edgeRows(edges, 0, 0, "callees").map((row) => row.fn), [1, 2]);
});

test("source lines are those of one function", () => {
  const lines = { fn: [0, 1, 1], line: [3, 4, 0], file: ["a", "b", "b"], self: [[1, 2, 3]], total: [[1, 2, 3]] };
  assert.deepEqual(lineRows(lines, 0, 1).map((row) => [row.file, row.line, row.total[0]]), [["b", 4, 2], ["b", 0, 3]]);
});

test("rows are sorted by size, whatever the sign", () => {
  const rows = [1, -7, 3].map((value) => ({ self: [value], total: [value] }));
  assert.deepEqual(sorted(rows, "self").map((row) => row.self[0]), [-7, 3, 1]);
  const changes = [[10, 9], [1, 5]].map((total) => ({ self: [0, 0], total }));
  assert.deepEqual(sorted(changes, "total").map((row) => row.total), [[1, 5], [10, 9]]);
});

test("a search counts each stack once", () => {
  const matches = matching(payload.functions, matcher("^(walk|step)$", true));
  assert.deepEqual(held(tree, matches), { sums: [20], bars: 1 });
  assert.equal(matcher("  ", false), null);
  assert.throws(() => matcher("(", true), SyntaxError);
  assert.equal(matcher("MAIN", false)("main"), true);
});
