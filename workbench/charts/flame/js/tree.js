// A tree is arrays in preorder with one root at 0: parent, depth, end (the first node behind the subtree), fn, line,
// flags; self and total hold a Float64Array for what is shown and, where two profiles are compared, one for before.

// bits of flags, as calltree.py has them; CUT is made here
export const ASSUMED = 1;
export const INLINED = 2;
export const TRIMMED = 4;
export const CUT = 8;

export function emptyTree(size) {
  return {
    size, parent: new Int32Array(size).fill(-1), depth: new Int32Array(size), end: new Int32Array(size),
    fn: new Int32Array(size), line: new Int32Array(size), flags: new Uint8Array(size), self: [], total: [],
  };
}

// the shape of the whole tree; fn of the root is one behind the last function
export function wholeTree(payload) {
  const tree = emptyTree(payload.depth.length + 1);
  tree.fn.set(payload.fn, 1);
  tree.fn[0] = payload.functions.name.length;
  tree.line.set(payload.line, 1);
  tree.flags.set(payload.flags, 1);
  const path = [0];
  for (let node = 1; node < tree.size; node++) {
    const depth = payload.depth[node - 1];
    tree.parent[node] = path[depth];
    tree.depth[node] = depth + 1;
    path[depth + 1] = node;
  }
  return withEnds(tree);
}

export function withEnds(tree) {
  for (let node = tree.size - 1; node >= 0; node--) {
    tree.end[node] = Math.max(tree.end[node], node + 1);
    if (node) tree.end[tree.parent[node]] = Math.max(tree.end[tree.parent[node]], tree.end[node]);
  }
  return tree;
}

export function withCosts(tree, columns) {
  const self = columns.map((column) => {
    const costs = new Float64Array(tree.size);
    costs.set(column, tree.size - column.length);
    return costs;
  });
  return { ...tree, self, total: self.map((costs) => subtreeSums(tree, costs)) };
}

export function subtreeSums(tree, costs) {
  const sums = costs.slice();
  for (let node = tree.size - 1; node > 0; node--) sums[tree.parent[node]] += sums[node];
  return sums;
}

// nodes without an ancestor in the same set: their totals may be summed, so that recursion counts once
export function outermost(tree, isIn) {
  const found = [];
  for (let node = 0; node < tree.size;) {
    if (isIn(node)) {
      found.push(node);
      node = tree.end[node];
    } else node++;
  }
  return found;
}

export function childLists({ parent }) {
  const head = new Int32Array(parent.length).fill(-1);
  const next = new Int32Array(parent.length).fill(-1);
  for (let node = parent.length - 1; node > 0; node--) {
    next[node] = head[parent[node]];
    head[parent[node]] = node;
  }
  return { head, next };
}

export function changeOf(tree, node) {
  const [after, before] = [tree.total[0][node], tree.total[1][node]];
  return { after, before, added: before === 0 && after !== 0, removed: after === 0 && before !== 0 };
}
