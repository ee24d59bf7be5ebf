// The flame graph. Draws a packed call tree (see packing.py) on a canvas; no dependency, no network, no eval.
//
// indexerWorkbenchFlame.render(element, payload) is all there is to it; start(script) reads the payload that lies beside
// the script. Names come from files of others: they go to the canvas and to textContent, never to innerHTML.
//
// In the order of this file: the payload; trees; where bars lie; words; colours; slivers; a pane (one drawn tree); the panel
// (the controls, and one pane or two).
(() => {
  "use strict";
  const NAME = "indexerWorkbenchFlame";
  const VERSION = 1;
  // each output of a notebook brings this script; the newest that is there serves them all
  if ((globalThis[NAME]?.version ?? 0) >= VERSION) return;

  const ASSUMED = 1, INLINED = 2, TRIMMED = 4, CUT = 8;
  const ROW_PX = 18;
  const NARROWEST_PX = 0.3; // below it a bar is not drawn by itself
  const BAR_PX = 3; // from here it has an edge
  const EXACT_UP_TO = Number.MAX_SAFE_INTEGER;

  // ---- the payload

  const TYPES = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array, f64: Float64Array };

  async function unpack(base64) {
    const packed = Uint8Array.from(atob(base64.trim()), (character) => character.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return parse(await new Response(stream).arrayBuffer());
  }

  function parse(buffer) {
    const length = new DataView(buffer).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    const column = (key) => {
      const [type, offset, count] = header.arrays[key];
      return new TYPES[type](buffer, 4 + length + offset, count);
    };
    const texts = (key) => Array.from(column(`function.${key}`), (number) => header.names[number]);
    const perMetric = (kind) => header.metrics.map((_, position) => column(`${kind}.${position}`));
    return {
      ...header,
      functions: {
        name: texts("function"), raw: texts("raw_function"), file: texts("file"), object: texts("object"), crate: texts("crate"),
      },
      depth: column("depth"), fn: column("fn"), line: column("line"), flags: column("flags"),
      cost: perMetric("cost"), before: header.compared ? perMetric("before") : null,
    };
  }

  // ---- trees
  //
  // A tree is arrays in preorder with one root at 0: parent, depth, end (the first node behind the subtree), fn, line,
  // flags; self and total hold a Float64Array for what is shown and, where two profiles are compared, one for before.

  function emptyTree(size) {
    return {
      size, parent: new Int32Array(size).fill(-1), depth: new Int32Array(size), end: new Int32Array(size),
      fn: new Int32Array(size), line: new Int32Array(size), flags: new Uint8Array(size), self: [], total: [],
    };
  }

  // the shape of the whole tree; fn of the root is one behind the last function
  function wholeTree(payload) {
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

  function withEnds(tree) {
    for (let node = tree.size - 1; node >= 0; node--) {
      tree.end[node] = Math.max(tree.end[node], node + 1);
      if (node) tree.end[tree.parent[node]] = Math.max(tree.end[tree.parent[node]], tree.end[node]);
    }
    return tree;
  }

  function withCosts(tree, columns) {
    const self = columns.map((column) => {
      const costs = new Float64Array(tree.size);
      costs.set(column, tree.size - column.length);
      return costs;
    });
    return { ...tree, self, total: self.map((costs) => subtreeSums(tree, costs)) };
  }

  function subtreeSums(tree, costs) {
    const sums = costs.slice();
    for (let node = tree.size - 1; node > 0; node--) sums[tree.parent[node]] += sums[node];
    return sums;
  }

  // nodes without an ancestor in the same set: their totals may be summed, so that recursion counts once
  function outermost(tree, isIn) {
    const found = [];
    for (let node = 0; node < tree.size;) {
      if (isIn(node)) {
        found.push(node);
        node = tree.end[node];
      } else node++;
    }
    return found;
  }

  // Leaves first: each root is a function that has a cost of its own, above it who called it.
  function inverted(tree, functions, weight) {
    const starts = [];
    let steps = 0;
    for (let node = 1; node < tree.size; node++) {
      if (tree.self.some((costs) => costs[node] !== 0)) {
        starts.push(node);
        steps += tree.depth[node];
      }
    }
    // the tree of all callers of all leaves can be a hundred times the size of the first: what no pixel could show is
    // not unfolded. Callers of one function are always whole.
    const cut = steps > 1e6 ? weight(tree.total, 0) / 50000 : 0;
    return regroup(tree, starts, tree.self, { up: true, root: functions, grouped: false, cut, weight });
  }

  // Who called a function: the costs of its outermost calls, spread over the ways that led there.
  function callersOf(tree, fn, weight) {
    return regroup(tree, callsOf(tree, fn), tree.total, { up: true, root: fn, grouped: true, cut: 0, weight });
  }

  // What a function called: the subtrees of its outermost calls, laid over each other.
  function calleesOf(tree, fn, weight) {
    return regroup(tree, callsOf(tree, fn), tree.self, { up: false, root: fn, grouped: true, cut: 0, weight });
  }

  const callsOf = (tree, fn) => outermost(tree, (node) => tree.fn[node] === fn);

  // A new tree from ways through an old one. Each entry is a node that a way has come to and the node it started at. The
  // entries of one new node lie side by side, so that its children are found by a mark per function, without hashing.
  // Upwards a way ends below the root and gives its cost there; downwards each node on it gives its own.
  function regroup(tree, starts, costs, { up, root, grouped, cut, weight }) {
    const heads = up ? null : childLists(tree);
    const made = { parent: [-1], fn: [root], line: [-1], flags: [0], self: costs.map(() => [0]) };
    const mark = new Int32Array(tree.fn[0] + 1).fill(-1);
    const slot = new Int32Array(mark.length);

    const give = (group, source, row) => source.forEach((column, which) => { made.self[which][group] += column[row]; });
    const land = (group, node) => {
      made.flags[group] |= tree.flags[node];
      if (made.line[group] === -1) made.line[group] = tree.line[node];
      else if (made.line[group] !== tree.line[node]) made.line[group] = 0;
    };

    let entries = { node: Int32Array.from(starts), row: Int32Array.from(starts), group: new Int32Array(starts.length) };
    if (grouped) starts.forEach((node) => land(0, node));
    for (let first = !grouped; entries.node.length; first = false) {
      const next = { node: [], row: [], group: [] };
      const lowest = made.parent.length;
      const push = (group, node, row) => {
        const fn = tree.fn[node];
        if (mark[fn] !== group) {
          mark[fn] = group;
          slot[fn] = made.parent.length;
          made.parent.push(group);
          made.fn.push(fn);
          made.line.push(-1);
          made.flags.push(0);
          made.self.forEach((column) => column.push(0));
        }
        land(slot[fn], node);
        next.node.push(node);
        next.row.push(row);
        next.group.push(slot[fn]);
      };
      for (let from = 0, to; from < entries.node.length; from = to) {
        const group = entries.group[from];
        for (to = from; to < entries.node.length && entries.group[to] === group;) to++;
        if (up && cut && !first && lightness(from, to) < cut) {
          made.flags[group] |= CUT;
          for (let entry = from; entry < to; entry++) give(group, costs, entries.row[entry]);
          continue;
        }
        for (let entry = from; entry < to; entry++) {
          const node = entries.node[entry], row = entries.row[entry];
          if (first) push(group, node, row);
          else if (up) {
            if (tree.parent[node] > 0) push(group, tree.parent[node], row);
            else give(group, costs, row);
          } else {
            give(group, costs, node);
            for (let child = heads.head[node]; child !== -1; child = heads.next[child]) push(group, child, child);
          }
        }
      }
      entries = bucketed(next, lowest, made.parent.length);
    }
    return inPreorder(made);

    function lightness(from, to) {
      const sums = costs.map((column) => {
        let sum = 0;
        for (let entry = from; entry < to; entry++) sum += column[entries.row[entry]];
        return [sum];
      });
      return weight(sums, 0);
    }
  }

  // counting sort of entries by their group, groups from lowest to (not with) highest
  function bucketed(entries, lowest, highest) {
    const count = entries.group.length;
    const place = new Int32Array(highest - lowest + 1);
    for (let entry = 0; entry < count; entry++) place[entries.group[entry] - lowest + 1]++;
    for (let group = 1; group < place.length; group++) place[group] += place[group - 1];
    const sorted = { node: new Int32Array(count), row: new Int32Array(count), group: new Int32Array(count) };
    for (let entry = 0; entry < count; entry++) {
      const at = place[entries.group[entry] - lowest]++;
      sorted.node[at] = entries.node[entry];
      sorted.row[at] = entries.row[entry];
      sorted.group[at] = entries.group[entry];
    }
    return sorted;
  }

  function childLists({ parent }) {
    const head = new Int32Array(parent.length).fill(-1);
    const next = new Int32Array(parent.length).fill(-1);
    for (let node = parent.length - 1; node > 0; node--) {
      next[node] = head[parent[node]];
      head[parent[node]] = node;
    }
    return { head, next };
  }

  function inPreorder(made) {
    const tree = emptyTree(made.parent.length);
    const { head, next } = childLists(made);
    const place = new Int32Array(tree.size);
    const self = made.self.map(() => new Float64Array(tree.size));
    const waiting = [0];
    for (let node = 0; waiting.length; node++) {
      const old = waiting.pop();
      place[old] = node;
      if (node) {
        tree.parent[node] = place[made.parent[old]];
        tree.depth[node] = tree.depth[tree.parent[node]] + 1;
      }
      tree.fn[node] = made.fn[old];
      tree.line[node] = Math.max(0, made.line[old]);
      tree.flags[node] = made.flags[old];
      self.forEach((column, which) => { column[node] = made.self[which][old]; });
      const children = [];
      for (let child = head[old]; child !== -1; child = next[child]) children.push(child);
      while (children.length) waiting.push(children.pop());
    }
    return { ...withEnds(tree), self, total: self.map((column) => subtreeSums(tree, column)) };
  }

  // ---- where bars lie

  // What the width of a bar stands for. A cost below zero has none.
  const WIDTHS = {
    after: ([after], node) => Math.max(0, after[node]),
    before: ([, before], node) => Math.max(0, before[node]),
    either: ([after, before], node) => Math.max(0, after[node], before[node]),
  };

  // x and width of each node in units of cost, and the nodes of each row from left to right, largest sibling first
  function laidOut(tree, weight) {
    const own = new Float64Array(tree.size);
    for (let node = 0; node < tree.size; node++) own[node] = weight(tree.self, node);
    const width = subtreeSums(tree, own);
    const x = new Float64Array(tree.size);
    const { head, next } = childLists(tree);
    const rows = [];
    for (let row = Int32Array.of(0); row.length;) {
      rows.push(row);
      const below = [];
      for (const node of row) {
        const children = [];
        for (let child = head[node]; child !== -1; child = next[child]) if (width[child] > 0) children.push(child);
        if (children.length > 1) children.sort((a, b) => width[b] - width[a] || a - b);
        let at = x[node];
        for (const child of children) {
          x[child] = at;
          at += width[child];
          below.push(child);
        }
      }
      row = Int32Array.from(below);
    }
    return { x, width, rows };
  }

  // position in a row of the first bar that reaches beyond ``at``
  function firstBeyond({ x, width }, row, at) {
    let low = 0, high = row.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (x[row[middle]] + width[row[middle]] > at) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  // ---- words

  const SCALES = { ns: 1e-9, us: 1e-6, "µs": 1e-6, ms: 1e-3, s: 1 };

  function plainNumber(value) {
    if (Number.isInteger(value)) return (Math.abs(value) > EXACT_UP_TO ? "about " : "") + value.toLocaleString("en-GB");
    return Number(value.toPrecision(10)).toLocaleString("en-GB", { maximumFractionDigits: 12 });
  }

  function inUnit(value, unit) {
    const text = unit === "count" ? plainNumber(value) : `${plainNumber(value)} ${unit}`;
    const short = rounded(value, unit);
    return short && short !== text ? `${text} (${short})` : text;
  }

  function rounded(value, unit) {
    const size = Math.abs(value);
    const in3 = (number) => Number(number.toPrecision(3)).toString();
    if (unit === "bytes") {
      const step = Math.min(4, Math.floor(Math.log2(Math.max(1, size)) / 10));
      return step ? `${in3(value / 1024 ** step)} ${["", "KiB", "MiB", "GiB", "TiB"][step]}` : "";
    }
    if (!(unit in SCALES) || !value) return "";
    const seconds = size * SCALES[unit];
    const [name, scale] = [["s", 1], ["ms", 1e-3], ["µs", 1e-6], ["ns", 1e-9]].find(([, least]) => seconds >= least) ?? ["ns", 1e-9];
    return `${in3((value * SCALES[unit]) / scale)} ${name}`;
  }

  function percent(value, whole) {
    if (!(whole > 0)) return "–";
    const share = (100 * value) / whole;
    if (share !== 0 && Math.abs(share) < 0.001) return `${share < 0 ? "−" : ""}<0.001 %`;
    return `${Number(share.toPrecision(3))} %`;
  }

  const signed = (text, value) => (value > 0 ? `+${text}` : text.replace("-", "−"));

  // the end of a path tells most, the beginning of other names
  function shortened(text, length) {
    if (text.length <= length) return text;
    if (length < 3) return "";
    return /::|\//.test(text) ? `…${text.slice(1 - length)}` : `${text.slice(0, length - 1)}…`;
  }

  function changeOf(tree, node) {
    const [after, before] = [tree.total[0][node], tree.total[1][node]];
    return { after, before, added: before === 0 && after !== 0, removed: after === 0 && before !== 0 };
  }

  // what the width of a bar counts, by the kind of tree it is in
  function aboutCost(role, depth) {
    if (role === "leaves" && depth === 1) return "self";
    return depth > 0 && role !== "roots" && role !== "callees" ? "by way of this caller" : "total";
  }

  // What a bar is, in lines: the name first. The same words go to the tip, to the line below and to screen readers.
  function described(model, tree, node, role) {
    const { payload, whole } = model;
    const { unit, name: metric } = payload.metrics[model.metric];
    const of = tree.fn[node], facts = payload.functions;
    const isRoot = of === facts.name.length;
    const lines = [model.nameOf(of)];
    if (!isRoot && facts.raw[of] !== facts.name[of]) lines.push(facts.raw[of]);
    const cost = (value, total) => `${inUnit(value, unit)}, ${percent(value, total)}`;
    const about = aboutCost(role, tree.depth[node]);
    if (tree.total.length === 2) {
      const { after, before, added, removed } = changeOf(tree, node);
      lines.push(`${metric}, ${about}: after ${cost(after, whole[0])}; before ${cost(before, whole[1])}`);
      const change = signed(inUnit(after - before, unit), after - before);
      const ratio = before > 0 && !removed && !added ? ` (${signed(percent(after - before, before), after - before)})` : "";
      lines.push(added ? `new: ${change}` : removed ? `gone: ${change}` : after === before ? "no change" : `change: ${change}${ratio}`);
    } else {
      lines.push(`${metric}, ${about}: ${cost(tree.total[0][node], whole[0])}`);
      if (role === "roots" || role === "callees") lines.push(`self: ${cost(tree.self[0][node], whole[0])}`);
    }
    if (!isRoot) {
      const place = facts.file[of] && (tree.line[node] ? `${facts.file[of]}:${tree.line[node]}` : facts.file[of]);
      const where = [place, facts.crate[of] && `crate ${facts.crate[of]}`, facts.object[of]].filter(Boolean);
      if (where.length) lines.push(where.join(", "));
      const flags = tree.flags[node];
      const marks = [flags & ASSUMED ? "assumed: the profile does not say how much of this function belongs here" : "exact"];
      if (flags & INLINED) marks.push("inlined");
      if (flags & TRIMMED) marks.push("stands for bars too small to be kept");
      if (flags & CUT) marks.push("its callers are not unfolded: ask for its callers and callees");
      lines.push(marks.join("; "));
    }
    return lines;
  }

  // ---- colours: tints on which dark text can be read; nothing is told by them alone

  const TINTS = ["#a6d8f5", "#f5c668", "#8fd6bc", "#e5bdd3", "#f3eb8a", "#9cc3e6", "#f3b08a", "#c5e0a5", "#c9c3ee", "#9adbdb"];
  const GREY = "#dddddd", DUST = "#c8c8c8", ROOT = "#eeeeee", MATCH = "#ff9df0", FADED = "#f3f3f3", INK = "#1a1a1a";
  const MORE = ["#fbe6cf", "#f8cfa0", "#f2b36b", "#e69a3c"];
  const LESS = ["#dce9f5", "#b8d4ec", "#8dbbe0", "#5e9fd3"];
  const STEPS = [0.02, 0.1, 0.3]; // relative change at which the next tint begins

  const KINDS = { crate: "crate or module", file: "file", object: "binary" };

  // the tints go to the groups that cost most by themselves; the legend says which
  function groupColours(model, kind) {
    const { payload, tree } = model;
    const groups = payload.functions[kind];
    const costs = new Map();
    for (let node = 1; node < tree.size; node++) {
      const group = groups[tree.fn[node]];
      costs.set(group, (costs.get(group) ?? 0) + Math.max(0, ...tree.self.map((column) => column[node])));
    }
    const named = [...costs].filter(([group, cost]) => group && cost > 0).sort((a, b) => b[1] - a[1]).slice(0, TINTS.length);
    const tints = new Map(named.map(([group], rank) => [group, TINTS[rank]]));
    const ofFunction = groups.map((group) => tints.get(group) ?? GREY);
    ofFunction.push(ROOT);
    return {
      of: (shown, node) => ofFunction[shown.fn[node]],
      legend: [...tints].map(([group, tint]) => [tint, group]).concat(named.length < costs.size ? [[GREY, "others and unknown"]] : []),
    };
  }

  function differenceColours() {
    return {
      of: (shown, node) => {
        const { after, before } = changeOf(shown, node);
        const change = (after - before) / Math.max(Math.abs(after), Math.abs(before), Number.MIN_VALUE);
        if (change === 0) return ROOT;
        const step = STEPS.filter((least) => Math.abs(change) >= least).length;
        return (change > 0 ? MORE : LESS)[step];
      },
      legend: [[LESS[3], "− less than before"], [ROOT, "= no change"], [MORE[3], "+ more than before"], [MORE[3], "new, with slanted lines"], [LESS[3], "gone, with dots"]],
    };
  }

  function pattern(context, paint, size) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = size;
    paint(tile.getContext("2d"), size);
    return context.createPattern(tile, "repeat");
  }

  const PATTERNS = {
    added: (tile, size) => {
      tile.strokeStyle = "rgba(26,26,26,.45)";
      tile.beginPath();
      for (const shift of [-size, 0, size]) { tile.moveTo(shift, size); tile.lineTo(shift + size, 0); }
      tile.stroke();
    },
    removed: (tile, size) => { tile.fillStyle = "rgba(26,26,26,.5)"; tile.fillRect(0, 0, 2, 2); tile.fillRect(size / 2, size / 2, 2, 2); },
    assumed: (tile, size) => { tile.fillStyle = "rgba(26,26,26,.65)"; tile.fillRect(0, 0, size / 2, size); },
  };

  // ---- slivers: bars too narrow for an edge or a name. Tens of thousands of them are a line of pixels a row, stretched
  // to the row's height, which is many times faster than as many rectangles.

  class Slivers {
    constructor(canvas, width, rows, ratio) {
      Object.assign(this, { canvas, width, rows, ratio });
      canvas.width = Math.max(1, width);
      canvas.height = Math.max(1, rows);
      this.context = canvas.getContext("2d");
      this.image = this.context.createImageData(canvas.width, canvas.height);
      this.pixels = new Uint32Array(this.image.data.buffer);
      this.covered = new Float32Array(canvas.width);
    }

    line(number) {
      const { pixels, covered, ratio, width } = this;
      const start = number * width;
      covered.fill(0);
      return {
        fill(left, right, colour) {
          const from = Math.max(0, Math.round(left * ratio));
          pixels.fill(packedColour(colour), start + from, start + Math.min(width, Math.max(from + 1, Math.round(right * ratio))));
        },
        // what no eye could see by itself is grey where there is enough of it: a gap would say that nothing is there
        dust(left, size) {
          const at = Math.max(0, Math.floor(left * ratio));
          if (at >= width) return;
          covered[at] += size * ratio;
          if (covered[at] >= NARROWEST_PX && !pixels[start + at]) pixels[start + at] = packedColour(DUST);
        },
      };
    }

    draw(context, tops, width) {
      this.context.putImageData(this.image, 0, 0);
      context.imageSmoothingEnabled = false;
      tops.forEach((top, row) => context.drawImage(this.canvas, 0, row, this.width, 1, 0, top, width, ROW_PX - 1));
    }
  }

  const packedColours = new Map();

  // "#rrggbb" as the four bytes of a pixel
  function packedColour(colour) {
    let packed = packedColours.get(colour);
    if (packed === undefined) {
      const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
      [packed] = new Uint32Array(Uint8Array.of(red, green, blue, 255).buffer);
      packedColours.set(colour, packed);
    }
    return packed;
  }

  // ---- a pane: one tree on one canvas

  class Pane {
    constructor(model, role, listener) {
      this.model = model;
      this.role = role;
      this.listener = listener;
      this.focus = 0;
      this.hover = -1;
      this.zooms = [0];
      this.element = make("div");
      if (role === "callers" || role === "callees") this.element.append(make("p", "", role === "callers" ? "Callers" : "Callees"));
      this.crumbs = this.element.appendChild(make("ol", "wb-flame-crumbs"));
      this.view = this.element.appendChild(make("div", "wb-flame-view"));
      this.spacer = this.view.appendChild(make("div"));
      this.canvas = this.spacer.appendChild(make("canvas"));
      this.context = this.canvas.getContext("2d");
      this.slivers = make("canvas");
      this.tip = this.element.appendChild(make("div", "wb-flame-tip"));
      this.tip.hidden = true;
      this.view.tabIndex = 0;
      takesKeys(this.view);
      this.view.setAttribute("role", "application");
      this.view.setAttribute("aria-roledescription", "flame graph");
      this.patterns = Object.fromEntries(Object.entries(PATTERNS).map(([name, paint]) => [name, pattern(this.context, paint, name === "assumed" ? 4 : 8)]));
      this.listen();
    }

    // upward: the root at the bottom
    show(tree, layout, { upward, keep, name }) {
      Object.assign(this, { tree, layout, upward });
      this.view.setAttribute("aria-label", `${name}. Arrow keys move, Enter zooms, Backspace goes back, Escape shows all, S shows callers and callees.`);
      if (!keep) {
        this.zooms = [0];
        this.focus = 0;
      }
      this.zooms = this.zooms.filter((node) => layout.width[node] > 0);
      if (!this.zooms.length) this.zooms = [0];
      if (!(layout.width[this.focus] > 0)) this.focus = 0;
      this.hover = -1;
      this.tip.hidden = true;
      this.range = this.rangeOf(this.zoomed);
      this.fit();
      if (!keep) this.view.scrollTop = upward ? this.view.scrollHeight : 0;
      this.trail();
      this.draw();
    }

    get zoomed() { return this.zooms[this.zooms.length - 1]; }

    rangeOf(node) { return [this.layout.x[node], this.layout.x[node] + this.layout.width[node]]; }

    fit() {
      const full = this.layout.rows.length * ROW_PX + 1;
      this.spacer.style.height = `${full}px`;
      this.width = this.view.clientWidth;
      this.height = Math.min(full, this.view.clientHeight || full);
    }

    rowTop(row) {
      const top = (this.upward ? this.layout.rows.length - 1 - row : row) * ROW_PX;
      return top - this.view.scrollTop;
    }

    draw() {
      const { context, layout, tree, width, height } = this;
      if (!width || !height) return; // folded away; drawn when it gets a size
      const ratio = globalThis.devicePixelRatio || 1;
      const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
      if (this.canvas.width !== wide || this.canvas.height !== high) {
        this.canvas.width = wide;
        this.canvas.height = high;
        this.canvas.style.width = `${width}px`;
        this.canvas.style.height = `${height}px`;
      }
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.fillStyle = "#fff";
      context.fillRect(0, 0, width, height);
      context.font = "12px ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace";
      context.textBaseline = "middle";
      this.letter = context.measureText("m").width;
      const scale = width / (this.range[1] - this.range[0]);
      const rows = layout.rows.map((row, number) => [row, this.rowTop(number)]).filter(([, top]) => top > -ROW_PX && top < height);
      const slivers = new Slivers(this.slivers, wide, rows.length, ratio);
      rows.forEach(([row, top], line) => this.drawRow(row, top, scale, slivers.line(line)));
      slivers.draw(context, rows.map(([, top]) => top), width);
      for (const [node, thick] of [[this.hover, 1], [this.focus, 2]]) {
        if (node < 0 || (node === this.focus && this.hover !== node && document.activeElement !== this.view && !this.chosen)) continue;
        const [left, right] = this.edges(node, scale);
        context.strokeStyle = INK;
        context.lineWidth = thick;
        context.strokeRect(left + thick / 2, this.rowTop(tree.depth[node]) + thick / 2, Math.max(thick, right - left - thick), ROW_PX - thick);
      }
    }

    edges(node, scale) {
      const left = (this.layout.x[node] - this.range[0]) * scale;
      return [Math.max(-2, left), Math.min(this.width + 2, left + this.layout.width[node] * scale)];
    }

    drawRow(row, top, scale, sliver) {
      const { layout, range, width: room } = this;
      for (let position = firstBeyond(layout, row, range[0]); position < row.length; position++) {
        const node = row[position];
        if (layout.x[node] >= range[1]) break;
        const width = layout.width[node] * scale;
        const left = (layout.x[node] - range[0]) * scale;
        if (width >= BAR_PX) this.drawBar(node, Math.max(-2, left), Math.min(room + 2, left + width), top);
        else if (width >= NARROWEST_PX) sliver.fill(left, left + width, this.colour(node));
        else sliver.dust(left, width);
      }
    }

    colour(node) {
      const { model, tree } = this;
      if (!model.matches) return model.colours.of(tree, node);
      if (model.matches[tree.fn[node]]) return MATCH;
      return this.isAbove(node) ? model.colours.of(tree, node) : FADED;
    }

    drawBar(node, left, right, top) {
      const { context, tree, model } = this;
      const wide = right - left;
      const shown = wide - 0.75;
      const matched = model.matches && model.matches[tree.fn[node]];
      context.fillStyle = this.colour(node);
      context.fillRect(left, top, shown, ROW_PX - 1);
      const flags = tree.flags[node];
      if (matched) {
        context.fillStyle = INK;
        context.fillRect(left, top, shown, 2);
      }
      if (tree.total.length === 2 && !model.matches) {
        const { added, removed } = changeOf(tree, node);
        if (added || removed) {
          context.fillStyle = this.patterns[added ? "added" : "removed"];
          context.fillRect(left, top, shown, ROW_PX - 1);
        }
      }
      if (flags & ASSUMED) {
        context.fillStyle = this.patterns.assumed;
        context.fillRect(left, top + ROW_PX - 3, shown, 2);
      }
      if (wide < 4 * this.letter) return;
      const start = Math.max(left, 0) + 3;
      const mark = model.mark(tree, node);
      const text = mark + this.fitting(model.nameOf(tree.fn[node]), Math.min(right, this.width) - start - 2 - mark.length * this.letter);
      if (text.length * this.letter > right - start) return;
      context.fillStyle = INK;
      context.fillText(text, start, top + ROW_PX / 2);
    }

    isAbove(node) {
      return node <= this.zoomed && this.tree.end[node] > this.zoomed;
    }

    fitting(text, room) {
      let short = shortened(text, Math.floor(room / this.letter));
      // letters of other scripts are wider
      while (short.length > 1 && /[^\x20-\x7e…]/.test(short) && this.context.measureText(short).width > room) {
        short = shortened(text, short.length - 1);
      }
      return short;
    }

    // the node at a place on the canvas, -1: none
    nodeAt(x, y) {
      const line = Math.floor((y + this.view.scrollTop) / ROW_PX);
      const row = this.layout.rows[this.upward ? this.layout.rows.length - 1 - line : line];
      if (!row) return -1;
      const at = this.range[0] + (x / this.width) * (this.range[1] - this.range[0]);
      const node = row[firstBeyond(this.layout, row, at)];
      return node !== undefined && this.layout.x[node] <= at ? node : -1;
    }

    // moving about

    choose(node, { said = true } = {}) {
      this.focus = node;
      this.chosen = true;
      this.reveal(node);
      this.draw();
      this.listener.chosen(this, node, said);
    }

    reveal(node) {
      const top = this.rowTop(this.tree.depth[node]);
      if (top < 0) this.view.scrollTop += top;
      else if (top + ROW_PX > this.height) this.view.scrollTop += top + ROW_PX - this.height;
    }

    zoom(node) {
      if (node !== this.zoomed) this.zooms = node === 0 ? [0] : [...this.zooms, node];
      this.moveTo(this.rangeOf(node));
      this.trail();
      this.listener.zoomed(this);
    }

    back() {
      if (this.zooms.length > 1) this.zooms.pop();
      this.moveTo(this.rangeOf(this.zoomed));
      this.trail();
      this.listener.zoomed(this);
    }

    moveTo(range) {
      const start = this.range, began = performance.now();
      cancelAnimationFrame(this.moving);
      if (matchMedia("(prefers-reduced-motion: reduce)").matches || !this.width) {
        this.range = range;
        return this.draw();
      }
      const step = (now) => {
        const part = Math.min(1, Math.max(0, (now - began) / 160));
        this.range = part === 1 ? range : start.map((edge, side) => edge + (range[side] - edge) * part * (2 - part));
        this.draw();
        if (part < 1) this.moving = requestAnimationFrame(step);
      };
      this.moving = requestAnimationFrame(step);
    }

    // change the visible range by hand: ``factor`` < 1 shows less, around ``at`` (0 to 1); ``shift`` moves by parts of it
    turn(factor, at, shift) {
      const whole = this.layout.width[0];
      const span = Math.min(whole, Math.max(whole * 1e-9, (this.range[1] - this.range[0]) * factor));
      const middle = this.range[0] + (this.range[1] - this.range[0]) * at;
      const low = Math.min(whole - span, Math.max(0, middle - span * at + span * shift));
      cancelAnimationFrame(this.moving);
      this.range = [low, low + span];
      this.draw();
      this.listener.zoomed(this);
    }

    get isWhole() { return this.zooms.length === 1 && this.range[0] === 0 && this.range[1] === this.layout.width[0]; }

    trail() {
      const path = [];
      for (let node = this.zoomed; node !== -1; node = this.tree.parent[node]) path.unshift(node);
      const shown = path.length > 8 ? [...path.slice(0, 3), -1, ...path.slice(-4)] : path;
      this.crumbs.replaceChildren(...shown.map((node) => {
        const item = make("li");
        if (node === -1) item.textContent = `… ${path.length - 7} more`;
        else {
          const text = this.model.nameOf(this.tree.fn[node]);
          const button = item.appendChild(make("button", "", shortened(text, 40)));
          button.type = "button";
          button.title = text;
          if (node === this.zoomed) button.setAttribute("aria-current", "true");
          button.addEventListener("click", () => { this.zoom(node); this.choose(node); });
        }
        return item;
      }));
    }

    key(event) {
      const { tree, layout, focus } = this;
      const row = layout.rows[tree.depth[focus]];
      const deeper = this.upward ? "ArrowUp" : "ArrowDown", higher = this.upward ? "ArrowDown" : "ArrowUp";
      const at = row.indexOf(focus);
      const inView = (node) => node !== undefined && layout.x[node] < this.range[1] && layout.x[node] + layout.width[node] > this.range[0];
      let to;
      if (event.key === deeper) {
        const below = layout.rows[tree.depth[focus] + 1];
        const child = below && below[firstBeyond(layout, below, Math.max(layout.x[focus], this.range[0]))];
        to = child !== undefined && tree.parent[child] === focus ? child : undefined;
      } else if (event.key === higher) to = focus ? tree.parent[focus] : undefined;
      else if (event.key === "ArrowRight") to = row[at + 1];
      else if (event.key === "ArrowLeft") to = row[at - 1];
      else if (event.key === "Home") to = 0;
      else if (event.key === "Enter") this.zoom(focus);
      else if (event.key === "Backspace") this.back();
      else if (event.key === "Escape") this.zoom(0);
      else if (event.key.toLowerCase() === "s") this.listener.asked(this, focus);
      else return false;
      if (to !== undefined && inView(to)) this.choose(to);
      return true;
    }

    listen() {
      const { view, canvas } = this;
      const place = (event) => {
        const box = canvas.getBoundingClientRect();
        return [event.clientX - box.left, event.clientY - box.top];
      };
      let grip = null;
      view.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        if (this.key(event)) {
          event.preventDefault();
          event.stopPropagation();
        }
      });
      view.addEventListener("focus", () => { this.chosen = true; this.draw(); this.listener.chosen(this, this.focus, true); });
      view.addEventListener("scroll", () => this.draw(), { passive: true });
      view.addEventListener("wheel", (event) => {
        const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
        const [x] = place(event);
        if (event.ctrlKey || event.metaKey) this.turn(Math.exp(event.deltaY / 300), x / this.width, 0);
        else if (sideways && !this.isWhole) this.turn(1, 0, sideways / this.width);
        else return;
        event.preventDefault();
      }, { passive: false });
      canvas.addEventListener("pointerdown", (event) => {
        if (event.button === 0) grip = { x: event.clientX, touch: event.pointerType === "touch", moved: false };
      });
      canvas.addEventListener("pointermove", (event) => {
        if (grip && (grip.moved || Math.abs(event.clientX - grip.x) > 4) && event.buttons) {
          if (!grip.moved) canvas.setPointerCapture(event.pointerId);
          grip.moved = true;
          this.turn(1, 0, (grip.x - event.clientX) / this.width);
          grip.x = event.clientX;
          this.point(-1);
        } else if (event.pointerType !== "touch") this.point(this.nodeAt(...place(event)), ...place(event));
      });
      canvas.addEventListener("pointerleave", () => this.point(-1));
      canvas.addEventListener("pointercancel", () => { grip = null; });
      canvas.addEventListener("pointerup", (event) => {
        const held = grip;
        grip = null;
        if (!held || held.moved) return;
        const node = this.nodeAt(...place(event));
        if (node < 0) return;
        // a finger has no hover: its first touch says what the bar is, its second zooms
        const zooms = !held.touch || (this.chosen && node === this.focus);
        if (zooms) this.zoom(node);
        this.choose(node);
      });
    }

    point(node, x, y) {
      if (node !== this.hover) {
        this.hover = node;
        this.draw();
        this.tip.hidden = node < 0;
        if (node >= 0) this.tip.replaceChildren(...described(this.model, this.tree, node, this.role).map((line) => make("div", "", line)));
      }
      if (node < 0) return;
      const top = this.view.offsetTop + y, room = this.element.clientWidth;
      this.tip.style.left = `${Math.max(0, Math.min(x + 14, room - this.tip.offsetWidth))}px`;
      this.tip.style.top = `${top + 20}px`;
    }
  }

  // ---- the panel

  function make(tag, name = "", text = "") {
    const element = document.createElement(tag);
    if (name) element.className = name;
    if (text) element.textContent = text;
    if (["button", "input", "select", "summary"].includes(tag)) takesKeys(element);
    return element;
  }

  // JupyterLab takes keys before anyone else does (x cuts the cell), unless the very element in focus says no
  function takesKeys(element) {
    element.dataset.lmSuppressShortcuts = "true";
  }

  function labelled(text, control) {
    const label = make("label", "", `${text} `);
    control.setAttribute("aria-label", text);
    label.append(control);
    return label;
  }

  function selection(options, chosen, changed) {
    const select = make("select");
    for (const [value, text] of options) {
      const option = select.appendChild(make("option", "", text));
      option.value = value;
    }
    select.value = chosen;
    select.addEventListener("change", () => changed(select.value));
    return select;
  }

  function button(text, pressed) {
    const element = make("button", "", text);
    element.type = "button";
    element.addEventListener("click", pressed);
    return element;
  }

  function render(element, payload) {
    const whole = wholeTree(payload);
    const compared = payload.before !== null;
    const rootFn = payload.functions.name.length;
    const state = {
      view: payload.inverted ? "leaves" : "roots", sandwich: -1, icicle: payload.icicle,
      colour: compared ? "difference" : "crate", width: compared ? "either" : "after", query: "", regex: false,
    };
    // what panes look at
    const model = {
      payload, metric: payload.metric, matches: null, tree: null, whole: null, colours: null,
      nameOf: (fn) => (fn === rootFn ? "all" : payload.functions.name[fn]),
      // what stands before the name on a bar: the change, so that colour is not needed to see it
      mark(tree, node) {
        if (!compared) return "";
        const { after, before, added, removed } = changeOf(tree, node);
        if (added || removed) return added ? "new " : "gone ";
        return after === before ? "= " : `${signed(percent(after - before, before), after - before)} `;
      },
    };

    const listener = {
      chosen(pane, node, said) {
        active = pane;
        details.replaceChildren(...described(model, pane.tree, node, pane.role).flatMap((line, number) => {
          const part = make(number ? "span" : "strong", "", line);
          return number ? [document.createTextNode(" · "), part] : [part];
        }));
        if (!said) details.replaceChildren();
        refresh();
      },
      zoomed() { refresh(); },
      asked(pane, node) {
        if (pane.tree.fn[node] !== rootFn && !(pane.tree.flags[node] & TRIMMED)) open(pane.tree.fn[node]);
      },
    };

    // controls
    const query = make("input");
    query.type = "search";
    query.placeholder = "function or file";
    query.autocomplete = "off";
    query.spellcheck = false;
    const regex = make("input");
    regex.type = "checkbox";
    const found = make("span", "wb-flame-found");
    found.setAttribute("role", "status");
    const back = button("Back", () => active.back());
    const reset = button("Show all", () => panes.forEach((pane) => pane.zoom(0)));
    const sandwich = button("Callers and callees", () => listener.asked(active, active.focus));
    const leave = button("Whole graph", () => open(-1));
    const icicle = button("Roots on top", () => { state.icicle = !state.icicle; arrange(); });
    const view = selection([["roots", "roots first"], ["leaves", "leaves first (inverted)"]], state.view, (value) => { state.view = value; state.sandwich = -1; arrange(); });
    const kinds = Object.entries(KINDS).filter(([kind]) => payload.functions[kind].some(Boolean));
    const colour = selection([...(compared ? [["difference", "difference"]] : []), ...kinds], state.colour, (value) => { state.colour = value; recolour(); });
    const width = selection([["either", "the larger of both"], ["after", "after"], ["before", "before"]], state.width, (value) => { state.width = value; arrange(); });
    const metric = selection(payload.metrics.map((each, number) => [number, each.name]), model.metric, (value) => { model.metric = Number(value); measure(); });

    const search = make("div", "wb-flame-bar");
    search.append(labelled("Search", query), labelled("regular expression", regex), found);
    const bar = make("div", "wb-flame-bar");
    if (payload.metrics.length > 1) bar.append(labelled("Metric", metric));
    bar.append(labelled("Order", view));
    if (kinds.length || compared) bar.append(labelled("Colour by", colour));
    if (compared) bar.append(labelled("Width", width));
    bar.append(icicle, back, reset, sandwich, leave);
    const stage = make("div");
    const details = make("p", "wb-flame-said");
    details.setAttribute("role", "status");
    details.setAttribute("aria-live", "polite");
    const legend = make("ul", "wb-flame-legend");
    const notes = make("div", "wb-flame-notes");
    for (const text of [payload.dropped, ...payload.remarks].filter(Boolean)) notes.append(make("p", "", text));
    const folded = make("p");
    notes.append(folded);

    const still = element.querySelector(":scope > .wb-flame-static");
    element.querySelector(":scope > .wb-flame-panel")?.remove();
    const panel = make("div", "wb-flame-panel");
    panel.append(search, bar, stage, details, legend, notes);
    if (still) {
      const table = make("details", "wb-flame-table");
      table.append(make("summary", "", "The same as a table"));
      still.replaceWith(panel);
      table.append(still);
      panel.append(table);
    } else element.append(panel);

    let panes = [], active = null;

    function measure() {
      const columns = [payload.cost[model.metric], ...(compared ? [payload.before[model.metric]] : [])];
      model.tree = withCosts(whole, columns);
      model.whole = model.tree.total.map((totals) => totals[0]);
      arrange({ keep: state.view === "roots" && state.sandwich < 0 });
    }

    // the trees that are shown, and where their bars lie
    function arrange({ keep = false } = {}) {
      const weight = WIDTHS[state.width];
      const { unit, name } = payload.metrics[model.metric];
      let shown;
      if (state.sandwich >= 0) {
        shown = [["callers", callersOf(model.tree, state.sandwich, weight), true], ["callees", calleesOf(model.tree, state.sandwich, weight), false]];
      } else if (state.view === "leaves") shown = [["leaves", inverted(model.tree, rootFn, weight), !state.icicle]];
      else shown = [["roots", model.tree, !state.icicle]];
      const kept = keep && panes.length === shown.length && panes.every((pane, number) => pane.role === shown[number][0]);
      if (!kept) {
        panes.forEach((pane) => { cancelAnimationFrame(pane.moving); sizes.unobserve(pane.view); });
        panes = shown.map(([role]) => new Pane(model, role, listener));
        stage.className = panes.length > 1 ? "wb-flame-pair" : "";
        stage.replaceChildren(...panes.map((pane) => pane.element));
      }
      recolour({ draw: false });
      let cut = 0;
      panes.forEach((pane, number) => {
        const [role, tree, upward] = shown[number];
        for (let node = 0; node < tree.size; node++) if (tree.flags[node] & CUT) cut++;
        const of = state.sandwich >= 0 ? ` ${role} of ${model.nameOf(state.sandwich)}` : "";
        pane.show(tree, laidOut(tree, weight), { upward, keep: kept, name: `Flame graph${of}, ${name} in ${unit}` });
        if (!kept) sizes.observe(pane.view);
      });
      active = panes.includes(active) ? active : panes[panes.length - 1];
      folded.textContent = cut ? `Callers of ${cut.toLocaleString("en-GB")} bars narrower than a pixel are not unfolded here.` : "";
      const empty = !(panes[0].layout.width[0] > 0);
      details.textContent = empty ? `Nothing was measured in ${name}.` : "";
      find();
    }

    function recolour({ draw = true } = {}) {
      model.colours = state.colour === "difference" ? differenceColours() : groupColours(model, state.colour);
      legend.replaceChildren(...model.colours.legend.map(([tint, text]) => {
        const item = make("li");
        const swatch = item.appendChild(make("i"));
        swatch.style.background = tint;
        item.append(text);
        return item;
      }));
      if (model.tree.flags.some((flags) => flags & ASSUMED)) legend.append(make("li", "", "dotted lower edge: an assumed share"));
      if (draw) panes.forEach((pane) => pane.draw());
    }

    // functions that match, and the share of all stacks that hold one of them: each stack once
    function find() {
      const { tree } = model;
      model.matches = null;
      found.textContent = "";
      const wanted = state.query.trim();
      if (wanted) {
        let test;
        try {
          const expression = state.regex ? new RegExp(wanted, "iu") : null;
          const lower = wanted.toLowerCase();
          test = (text) => (expression ? expression.test(text) : text.toLowerCase().includes(lower));
        } catch {
          found.textContent = "This is not a regular expression.";
        }
        if (test) {
          const { name, raw, file } = payload.functions;
          model.matches = Uint8Array.from(name, (_, fn) => test(name[fn]) || test(raw[fn]) || test(file[fn]));
          const tops = outermost(tree, (node) => model.matches[tree.fn[node]]);
          const [after, before] = tree.total.map((totals) => tops.reduce((sum, node) => sum + totals[node], 0));
          const functions = model.matches.reduce((sum, match) => sum + match, 0);
          const { unit } = payload.metrics[model.metric];
          const share = (value, side) => `${percent(value, model.whole[side])} of the total, ${inUnit(value, unit)}`;
          found.textContent = functions
            ? `${functions.toLocaleString("en-GB")} function${functions === 1 ? "" : "s"}: ${share(after, 0)}${compared ? `; before ${share(before, 1)}` : ""}`
            : "No function matches.";
          model.matched = after;
        }
      }
      panes.forEach((pane) => pane.draw());
      refresh();
    }

    // the next bar that matches, in the order of the tree
    function next() {
      const pane = active;
      for (let step = 1; model.matches && step <= pane.tree.size; step++) {
        const node = (pane.focus + step) % pane.tree.size;
        if (model.matches[pane.tree.fn[node]] && pane.layout.width[node] > 0) {
          const inside = pane.layout.x[node] >= pane.range[0] && pane.layout.x[node] < pane.range[1];
          if (!inside) pane.zoom(0);
          return pane.choose(node);
        }
      }
    }

    function open(fn) {
      state.sandwich = fn;
      arrange();
      if (fn >= 0) panes[1].choose(0);
      panes[panes.length - 1].view.focus({ preventScroll: true });
    }

    function refresh() {
      const fn = active.tree.fn[active.focus];
      sandwich.disabled = fn === rootFn || fn === state.sandwich;
      leave.hidden = state.sandwich < 0;
      icicle.hidden = state.sandwich >= 0;
      icicle.setAttribute("aria-pressed", String(state.icicle));
      back.disabled = active.zooms.length < 2;
      reset.disabled = panes.every((pane) => pane.isWhole);
      view.value = state.view;
    }

    query.addEventListener("input", () => { state.query = query.value; find(); });
    query.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter") next();
    });
    regex.addEventListener("change", () => { state.regex = regex.checked; find(); });
    const sizes = new ResizeObserver((changes) => {
      for (const { target } of changes) {
        const pane = panes.find((each) => each.view === target);
        if (pane) {
          pane.fit();
          pane.draw();
        }
      }
    });

    measure();
    element.dataset.state = "drawn";

    // for scripts and tests: what is shown, as plain values
    const handle = {
      get panes() { return panes; },
      rows: (number = 0) => {
        const { tree } = panes[number];
        return Array.from({ length: tree.size }, (_, node) => ({
          depth: tree.depth[node], name: model.nameOf(tree.fn[node]), self: tree.self.map((c) => c[node]), total: tree.total.map((c) => c[node]),
        }));
      },
    };
    element.flameGraph = handle;
    return handle;
  }

  // Draws the graph whose element the script stands in; where a host has moved the script, all that wait for it.
  async function start(script) {
    const own = script?.closest?.("[data-workbench-flame]");
    const elements = own ? [own] : document.querySelectorAll("[data-workbench-flame]:not([data-state])");
    await Promise.all(Array.from(elements, async (element) => {
      element.dataset.state = "reading";
      try {
        render(element, await unpack(element.querySelector('script[type="application/gzip"]').textContent));
      } catch (error) {
        element.dataset.state = "failed";
        element.append(make("p", "", "This browser cannot draw the flame graph. The table has its largest functions."));
        console.error("the flame graph cannot be drawn:", error);
      }
    }));
  }

  globalThis[NAME] = { version: VERSION, render, parse, unpack, start };
})();
