// What a function cost in a window, asked by name: windows of a page ask each other, drawn or not.

import { functionRows, keyOf, measuredIn } from "./beside_rows.js";
import { wholeTree, withCosts } from "./tree.js";

// self, total and whole of a function in a metric, by the key that it has in all windows; null where it is not there
export function costsOf(payload) {
  let shape = null;
  return (key, metricName) => {
    const metric = payload.metrics.findIndex((each) => each.name === metricName);
    if (metric < 0 || key === null) return null;
    shape ??= wholeTree(payload);
    const tree = withCosts(shape, [payload.cost[metric]]);
    const row = functionRows(tree, measuredIn(payload, metric)).find(({ fn }) => keyOf(payload.functions, fn) === key);
    return row ? { self: row.self[0], total: row.total[0], whole: tree.total[0][0] } : { self: 0, total: 0, whole: tree.total[0][0] };
  };
}
