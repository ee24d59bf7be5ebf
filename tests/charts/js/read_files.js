// Reads files as a page does; prints as JSON what it makes of each: totals by path in each metric, or the error.

import { readFileSync } from "node:fs";
import { basename } from "node:path";

import { readDropped } from "../../../workbench/report/js/readers/read.js";
import { wholeTree, withCosts } from "../../../workbench/charts/flame/js/tree.js";
import { totals } from "./small.js";

async function found(path) {
  try {
    const payload = await readDropped(basename(path), new Blob([readFileSync(path)]));
    const tree = withCosts(wholeTree(payload), payload.cost);
    return {
      metrics: payload.metrics.map(({ name, unit }) => [name, unit]), remarks: payload.remarks, threads: payload.time?.threads ?? [],
      functions: payload.functions, measured: payload.measured, edges: payload.edges, paths: payload.cost.map((_, side) => totals(tree, payload.functions.name, side)),
      spans: payload.time && payload.time.start.map((start, at) => [payload.time.thread[at], start, payload.time.end[at], payload.time.depth[at]]),
    };
  } catch (error) {
    return { error: error.constructor.name, message: error.message };
  }
}

const all = [];
for (const path of process.argv.slice(2)) all.push(await found(path));
process.stdout.write(JSON.stringify(all));
