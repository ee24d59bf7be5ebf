// A payload made by hand, and trees of it as plain text.

export function payloadOf(stacks, more = {}) {
  const names = [], nodes = [];
  const root = { children: new Map(), cost: 0 };
  for (const [stack, cost] of Object.entries(stacks)) {
    let at = root;
    for (const name of stack.split(";")) {
      if (!names.includes(name)) names.push(name);
      if (!at.children.has(name)) at.children.set(name, { name, children: new Map(), cost: 0 });
      at = at.children.get(name);
    }
    at.cost += cost;
  }
  const walk = (node, depth) => {
    for (const child of node.children.values()) {
      nodes.push([depth, names.indexOf(child.name), child.cost]);
      walk(child, depth + 1);
    }
  };
  walk(root, 0);
  const none = names.map(() => "");
  return {
    title: "small", metric: 0, inverted: false, icicle: true, dropped: "", remarks: [], compared: false,
    metrics: [{ name: "cpu", unit: "ns", description: "" }],
    functions: { name: names, raw: names, file: none, object: none, crate: names.map((name) => name.split("::")[0]) },
    depth: nodes.map(([depth]) => depth), fn: nodes.map(([, fn]) => fn), line: nodes.map(() => 0), flags: nodes.map(() => 0),
    cost: [nodes.map(([, , cost]) => cost)], before: null, measured: null, edges: null, lines: null, time: null, ...more,
  };
}

// path of names -> total, as the panes would say it
export function totals(tree, names, side = 0) {
  const path = [], found = {};
  for (let node = 0; node < tree.size; node++) {
    path.length = tree.depth[node];
    path.push(names[tree.fn[node]] ?? "all");
    found[path.join(";")] = tree.total[side][node];
  }
  return found;
}
