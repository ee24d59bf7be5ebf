// The panel: the controls, and one pane or two, with the tables beside them.

import { ASSUMED, CUT, TRIMMED, changeOf, wholeTree, withCosts } from "./tree.js";
import { Beside } from "./beside.js";
import { KINDS, differenceColours, groupColours, signColours, tintOf } from "./colours.js";
import { Pane } from "./pane.js";
import { SCHEMES, onScheme, schemeName } from "./scheme.js";
import { WIDTHS, laidOut } from "./layout.js";
import { apartBy, described, inUnit, percent, plainNumber, signed } from "./words.js";
import { busyTime, timeLayout, timeTree } from "./timeline.js";
import { button, choice, labelled, make, selection } from "./dom.js";
import { calleesOf, callersOf, inverted } from "./regroup.js";
import { keyOf } from "./beside_rows.js";
import { held, matcher, matching } from "./search.js";
import { inView } from "./input.js";

export class Panel {
  constructor(element, payload) {
    Object.assign(this, { element, payload, panes: [], active: null });
    this.compared = payload.before !== null;
    this.rootFn = payload.functions.name.length;
    this.shape = wholeTree(payload);
    const negative = !this.compared && payload.cost.some((costs) => costs.some((cost) => cost < 0));
    this.state = {
      order: payload.inverted ? "leaves" : "roots", timed: false, sandwich: -1, icicle: payload.icicle, query: "", regex: false,
      colour: this.compared ? "difference" : negative ? "sign" : payload.functions.crate.some(Boolean) ? "crate" : "name",
      width: this.compared ? "either" : "after",
    };
    this.signed = negative;
    this.model = this.newModel();
    this.sizes = new ResizeObserver((changes) => this.resized(changes));
    this.controls();
    this.beside = new Beside(this.seen());
    this.place();
    this.measure();
    const forget = onScheme(() => (element.isConnected ? this.rescheme() : forget()));
  }

  // what panes read
  newModel() {
    const { payload, rootFn } = this;
    const { name } = payload.functions;
    const nameOf = (fn) => (fn < rootFn ? name[fn] : fn === rootFn ? "all" : payload.time.threads[fn - rootFn - 1]);
    const model = {
      payload, nameOf, metric: payload.metric, matches: null, tree: null, whole: null, colours: null,
      scheme: SCHEMES[schemeName()], apart: apartBy(payload.functions),
      mark: (tree, node) => this.mark(tree, node),
      tintOf: (crate) => tintOf(model.scheme, crate),
    };
    return model;
  }

  // the text before the name on a bar: the change, so that it can be seen without colour
  mark(tree, node) {
    if (tree.total.length < 2) return this.signed && tree.total[0][node] < 0 ? "− " : "";
    const { after, before, added, removed } = changeOf(tree, node);
    if (added || removed) return added ? "new " : "gone ";
    return after === before ? "= " : `${signed(percent(after - before, before), after - before)} `;
  }

  // what the tables beside the graph need
  seen() {
    const { payload, model, compared } = this, panel = this;
    return {
      payload, model, compared,
      get tree() { return model.tree; },
      get zoomed() { return panel.state.timed || panel.state.sandwich >= 0 || panel.state.order !== "roots" ? 0 : panel.panes[0].zoomed; },
      get fn() { return panel.chosenFunction(); },
      get whole() { return model.whole[0]; },
      get unit() { return payload.metrics[model.metric]; },
      windows: () => panel.windows(),
      choose: (fn) => panel.chooseFunction(fn),
    };
  }

  // controls

  controls() {
    const { state, payload } = this;
    this.query = make("input");
    Object.assign(this.query, { type: "search", placeholder: "function or file", autocomplete: "off", spellcheck: false });
    this.query.addEventListener("input", () => { state.query = this.query.value; this.find(); });
    this.query.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter") this.next();
    });
    this.regex = make("input");
    this.regex.type = "checkbox";
    this.regex.addEventListener("change", () => { state.regex = this.regex.checked; this.find(); });
    this.found = make("span", "wb-flame-found");
    this.found.setAttribute("role", "status");
    this.clear = button("Clear", () => { this.query.value = state.query = ""; this.find(); });
    this.buttons = {
      back: button("Back", () => this.active.back()),
      reset: button("Show all", () => this.panes.forEach((pane) => pane.zoom(0))),
      sandwich: button("Callers and callees", () => this.asked(this.active, this.active.focus)),
      leave: button("Whole graph", () => this.open(-1)),
      icicle: button("Roots on top", () => { state.icicle = !state.icicle; this.arrange(); }),
    };
    this.orders = selection([["roots", "roots first"], ["leaves", "leaves first (inverted)"]], state.order, (value) => { state.order = value; state.sandwich = -1; this.arrange(); });
    this.metrics = selection(payload.metrics.map((each, number) => [number, each.name]), this.model.metric, (value) => { this.model.metric = Number(value); this.measure(); });
    this.views = choice("View", [["merged", "Merged"], ["time", "Time order"]], "merged", (value) => { state.timed = value === "time"; state.sandwich = -1; this.arrange(); });
  }

  // the kinds of colour that make sense for this profile
  colourKinds() {
    const kinds = Object.entries(KINDS).filter(([kind]) => this.payload.functions[kind].some(Boolean));
    if (this.compared) kinds.unshift(["difference", "difference"]);
    if (this.signed) kinds.unshift(["sign", "sign"]);
    return kinds;
  }

  bars() {
    const { state, payload, buttons, compared } = this;
    const search = make("div", "wb-flame-bar");
    search.append(labelled("Search", this.query), labelled("regular expression", this.regex), this.clear, this.found);
    const bar = make("div", "wb-flame-bar");
    if (payload.time) bar.append(this.views);
    this.merged = [labelled("Order", this.orders)];
    if (payload.metrics.length > 1) this.merged.unshift(labelled("Metric", this.metrics));
    if (compared) {
      const widths = [["either", "the larger of both"], ["after", "after"], ["before", "before"]];
      this.merged.push(labelled("Width", selection(widths, state.width, (value) => { state.width = value; this.arrange(); })));
    }
    const kinds = this.colourKinds();
    bar.append(...this.merged);
    if (kinds.length) {
      this.colours = selection(kinds, state.colour, (value) => { state.colour = value; this.recolour(); });
      bar.append(labelled("Colour by", this.colours));
    }
    bar.append(buttons.icicle, buttons.back, buttons.reset, buttons.sandwich, buttons.leave);
    return [search, bar];
  }

  // puts the panel into the page, replacing an older one
  place() {
    const { element, payload } = this;
    this.stage = make("div");
    this.details = make("p", "wb-flame-said");
    this.details.setAttribute("role", "status");
    this.details.setAttribute("aria-live", "polite");
    this.legend = make("ul", "wb-flame-legend");
    const notes = make("div", "wb-flame-notes");
    for (const text of [payload.dropped, ...payload.remarks].filter(Boolean)) notes.append(make("p", "", text));
    this.folded = notes.appendChild(make("p"));
    const graph = make("div", "wb-flame-graph");
    graph.append(this.stage, this.details, this.legend);
    const both = make("div", "wb-flame-both");
    both.append(graph, this.beside.element);
    const still = element.querySelector(":scope > .wb-flame-static");
    element.querySelector(":scope > .wb-flame-panel")?.remove();
    const panel = make("div", "wb-flame-panel");
    panel.append(...this.bars(), both, notes);
    if (still) {
      const table = make("details", "wb-flame-table");
      table.append(make("summary", "", "The same as a table"));
      still.replaceWith(panel);
      table.append(still);
      panel.append(table);
    } else element.append(panel);
  }

  // what is shown

  measure() {
    const { model, payload, state } = this;
    const columns = [payload.cost[model.metric], ...(this.compared ? [payload.before[model.metric]] : [])];
    model.tree = withCosts(this.shape, columns);
    model.whole = model.tree.total.map((totals) => totals[0]);
    this.arrange({ keep: state.order === "roots" && state.sandwich < 0 });
  }

  // the shown trees: role, tree, whether the root is at the bottom, and the layout if it is not the default
  shown(weight) {
    const { state, model } = this;
    if (state.sandwich >= 0) {
      return [["callers", callersOf(model.tree, state.sandwich, weight), true], ["callees", calleesOf(model.tree, state.sandwich, weight), false]];
    }
    if (state.timed) {
      this.spans ??= timeTree(this.payload);
      return [["time", this.spans, false, (this.placed ??= timeLayout(this.spans))]];
    }
    if (state.order === "leaves") return [["leaves", inverted(model.tree, this.rootFn, weight), !state.icicle]];
    return [["roots", model.tree, !state.icicle]];
  }

  arrange({ keep = false } = {}) {
    const { model, state, payload } = this;
    const weight = WIDTHS[state.width];
    const { unit, name } = payload.metrics[model.metric];
    const shown = this.shown(weight);
    const kept = keep && this.panes.length === shown.length && this.panes.every((pane, number) => pane.role === shown[number][0]);
    if (!kept) this.newPanes(shown);
    this.recolour({ draw: false });
    let cut = 0;
    this.panes.forEach((pane, number) => {
      const [role, tree, upward, layout] = shown[number];
      for (let node = 0; node < tree.size; node++) if (tree.flags[node] & CUT) cut++;
      const of = state.sandwich >= 0 ? ` ${role} of ${model.nameOf(state.sandwich)}` : "";
      const label = role === "time" ? "Spans of each thread in order of time" : `Flame graph${of}, ${name} in ${unit}`;
      pane.show(tree, layout ?? laidOut(tree, weight), { upward, keep: kept, name: label });
      if (!kept) this.sizes.observe(pane.view);
    });
    this.active = this.panes.includes(this.active) ? this.active : this.panes[this.panes.length - 1];
    this.folded.textContent = cut ? `Callers of ${plainNumber(cut)} bars narrower than a pixel are not shown here.` : "";
    const empty = !(this.panes[0].layout.width[0] > 0);
    this.details.textContent = empty ? `The profile has no cost in ${name}.` : "";
    this.find();
  }

  newPanes(shown) {
    for (const pane of this.panes) {
      cancelAnimationFrame(pane.moving);
      this.sizes.unobserve(pane.view);
    }
    this.panes = shown.map(([role]) => new Pane(this.model, role, this));
    this.stage.className = this.panes.length > 1 ? "wb-flame-pair" : "";
    this.stage.replaceChildren(...this.panes.map((pane) => pane.element));
  }

  rescheme() {
    this.model.scheme = SCHEMES[schemeName()];
    this.panes.forEach((pane) => pane.repaint());
    this.recolour();
    this.beside.state = null;
    this.beside.show();
  }

  recolour({ draw = true } = {}) {
    const { model, state } = this;
    const own = { difference: differenceColours, sign: signColours }[state.colour];
    this.element.dataset.theme = schemeName();
    model.colours = own ? own(model) : groupColours(model, state.colour);
    this.legend.replaceChildren(...model.colours.legend.map(([tint, text]) => {
      const item = make("li");
      if (tint) item.appendChild(make("i")).style.background = tint;
      item.append(text);
      return item;
    }));
    if (model.tree.flags.some((flags) => flags & ASSUMED)) this.legend.append(make("li", "", "dotted lower edge: an assumed share"));
    if (draw) this.panes.forEach((pane) => pane.draw());
  }

  resized(changes) {
    for (const { target } of changes) {
      const pane = this.panes.find((each) => each.view === target);
      pane?.fit();
      pane?.draw();
    }
  }

  // search

  find() {
    const { model, payload, state } = this;
    model.matches = null;
    this.found.textContent = "";
    try {
      const test = matcher(state.query, state.regex);
      if (test) {
        model.matches = matching(payload.functions, test);
        this.found.textContent = this.foundWords();
      }
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      this.found.textContent = "This is not a regular expression.";
    }
    this.clear.disabled = !state.query;
    this.panes.forEach((pane) => pane.draw());
    this.refresh();
  }

  foundWords() {
    const { model, payload, state } = this;
    const functions = model.matches.reduce((sum, match) => sum + match, 0);
    if (!functions) return "No function matches.";
    const count = `${plainNumber(functions)} function${functions === 1 ? "" : "s"}`;
    if (state.timed) {
      const { sums: [time], bars } = held(this.spans, model.matches);
      return `${count}, ${plainNumber(bars)} times: ${percent(time, busyTime(this.spans))} of the time in spans, ${inUnit(time, "ns")}`;
    }
    const { sums: [after, before] } = held(model.tree, model.matches);
    const { unit } = payload.metrics[model.metric];
    const share = (value, side) => `${percent(value, model.whole[side])} of the total, ${inUnit(value, unit)}`;
    return `${count}: ${share(after, 0)}${this.compared ? `; before ${share(before, 1)}` : ""}`;
  }

  // the next bar that matches, in the order of the tree
  next() {
    const { active: pane, model } = this;
    for (let step = 1; model.matches && step <= pane.tree.size; step++) {
      const node = (pane.focus + step) % pane.tree.size;
      if (!model.matches[pane.tree.fn[node]] || !(pane.layout.width[node] > 0)) continue;
      const inside = pane.layout.x[node] >= pane.range[0] && pane.layout.x[node] < pane.range[1];
      if (!inside) pane.zoom(0);
      pane.choose(node);
      return;
    }
  }

  // messages from panes, and requests from the tables

  chosen(pane, node, said) {
    this.active = pane;
    this.details.replaceChildren(...(said ? described(this.model, pane.tree, node, pane.role) : []).flatMap((line, number) => {
      const part = make(number ? "span" : "strong", "", line);
      return number ? [document.createTextNode(" · "), part] : [part];
    }));
    const fn = this.chosenFunction();
    this.element.dispatchEvent(new CustomEvent("workbench-chosen", { detail: fn === null ? "" : this.model.nameOf(fn) }));
    this.refresh();
  }

  zoomed() { this.refresh(); }

  // the reader's choices, by names that exist in another window too
  get choices() {
    const { state, model, payload } = this;
    const { query, regex, icicle, colour } = state;
    return { metric: payload.metrics[model.metric].name, order: state.sandwich < 0 ? state.order : "roots", query, regex, icicle, colour };
  }

  // applies choices from another window, as far as this one has them
  takeOver({ metric, order, query, regex, icicle, colour }) {
    const { state, model, payload } = this;
    const known = payload.metrics.findIndex((each) => each.name === metric);
    if (known >= 0) model.metric = known;
    if (this.colourKinds().some(([kind]) => kind === colour)) state.colour = colour;
    Object.assign(state, { order, query, regex, icicle, sandwich: -1 });
    this.query.value = query;
    this.regex.checked = regex;
    this.metrics.value = String(model.metric);
    if (this.colours) this.colours.value = state.colour;
    this.measure();
  }

  turned() { this.refreshButtons(); }

  asked(pane, node) {
    const fn = this.functionAt(pane, node);
    if (fn !== null) this.open(fn);
  }

  open(fn) {
    this.state.sandwich = fn;
    this.arrange();
    if (fn >= 0) this.panes[1].choose(0);
    this.panes[this.panes.length - 1].view.focus({ preventScroll: true });
  }

  // the function that is in focus; null: none
  chosenFunction() {
    return this.functionAt(this.active, this.active.focus);
  }

  // null for the root and for bars called (trimmed)
  functionAt({ tree }, node) {
    const fn = tree.fn[node];
    return fn < this.rootFn && !(tree.flags[node] & TRIMMED) ? fn : null;
  }

  // focuses the widest bar of a function and scrolls to it
  chooseFunction(fn) {
    if (this.state.sandwich >= 0) {
      this.open(fn);
      return;
    }
    const [pane] = this.panes;
    const { tree, layout } = pane;
    let best = -1;
    for (let node = 1; node < tree.size; node++) {
      if (tree.fn[node] === fn && (best < 0 || layout.width[node] > layout.width[best])) best = node;
    }
    if (best < 0 || !(layout.width[best] > 0)) {
      this.open(fn);
      return;
    }
    if (!inView(pane, best)) pane.zoom(0);
    pane.choose(best);
  }

  refresh() {
    this.refreshButtons();
    this.beside.show();
  }

  refreshButtons() {
    const { active, buttons, state, panes } = this;
    const fn = active.tree.fn[active.focus];
    buttons.sandwich.disabled = fn >= this.rootFn || fn === state.sandwich;
    buttons.leave.hidden = state.sandwich < 0;
    buttons.icicle.hidden = state.sandwich >= 0 || state.timed;
    buttons.icicle.setAttribute("aria-pressed", String(state.icicle));
    buttons.back.disabled = active.zooms.length < 2;
    buttons.reset.disabled = panes.every((pane) => pane.isWhole);
    for (const control of this.merged) control.hidden = state.timed && state.sandwich < 0;
    this.orders.value = state.order;
  }

  // the chosen function in all windows of a page; null if the page has only one
  windows() {
    const steps = this.element.closest(".wb-flame-steps");
    const sections = steps ? [...steps.querySelectorAll(":scope > section[data-step]")] : [];
    if (sections.length < 2) return null;
    const fn = this.active ? this.chosenFunction() : null;
    const key = fn === null ? null : keyOf(this.payload.functions, fn);
    const { name } = this.payload.metrics[this.model.metric];
    return sections.map((section) => {
      const cost = section.querySelector("[data-workbench-flame]")?.costOf?.(key, name) ?? null;
      return { label: section.getAttribute("aria-label"), here: section.contains(this.element), cost };
    });
  }
}
