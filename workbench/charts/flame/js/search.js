// Which functions match a query, and their cost.

import { outermost } from "./tree.js";

// A test of texts; null for an empty query. Throws SyntaxError for an invalid regular expression.
export function matcher(query, isExpression) {
  const wanted = query.trim();
  if (!wanted) return null;
  if (isExpression) {
    const expression = new RegExp(wanted, "iu");
    return (text) => expression.test(text);
  }
  const lower = wanted.toLowerCase();
  return (text) => text.toLowerCase().includes(lower);
}

export function matching({ name, raw, file }, test) {
  return Uint8Array.from(name, (_, fn) => test(name[fn]) || test(raw[fn]) || test(file[fn]));
}

// the cost of all stacks with a match, each stack once; and the number of bars
export function held(tree, matches) {
  const tops = outermost(tree, (node) => matches[tree.fn[node]]);
  return { sums: tree.total.map((totals) => tops.reduce((sum, node) => sum + totals[node], 0)), bars: tops.length };
}
