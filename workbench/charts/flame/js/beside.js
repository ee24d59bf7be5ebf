// The tables beside the graph: functions of the visible part; callers, callees and source lines of the chosen one, and
// its cost in other windows.

import { edgeRows, functionRows, lineRows, measuredIn, neighbourRows, sorted } from "./beside_rows.js";
import { brief, inUnit, lastParts, plainNumber, share, shortened, signed } from "./words.js";
import { button, make } from "./dom.js";

const ROWS = 100;
const NAME_LETTERS = 44; // letters of a name that fit into a row
const TABS = { functions: "Functions", callers: "Callers", callees: "Callees", lines: "Source lines", windows: "Windows" };
let made = 0;

export class Beside {
  // ``graph`` has what is visible: payload, model, tree, zoomed, fn, whole, and can choose a function
  constructor(graph) {
    this.graph = graph;
    this.kind = "functions";
    this.by = graph.compared ? "total" : "self";
    this.element = make("section", "wb-flame-beside");
    this.element.setAttribute("aria-label", "Tables");
    this.id = `wb-flame-beside-${++made}`;
    this.tabs = this.element.appendChild(make("div", "wb-flame-tabs"));
    this.tabs.setAttribute("role", "tablist");
    this.panel = this.element.appendChild(make("div", "wb-flame-rows"));
    this.panel.id = this.id;
    this.panel.tabIndex = 0;
    this.panel.setAttribute("role", "tabpanel");
    for (const kind of Object.keys(TABS)) if (this.has(kind)) this.tabs.append(this.tab(kind));
    this.tabs.addEventListener("keydown", (event) => this.turn(event));
  }

  has(kind) {
    if (kind === "lines") return this.graph.payload.lines !== null;
    return kind !== "windows" || this.graph.windows() !== null;
  }

  tab(kind) {
    const element = button(TABS[kind], () => this.open(kind));
    element.dataset.kind = kind;
    element.setAttribute("role", "tab");
    element.setAttribute("aria-controls", this.id);
    return element;
  }

  // arrow keys go from tab to tab
  turn(event) {
    const tabs = [...this.tabs.children];
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const next = tabs[(tabs.findIndex((tab) => tab.dataset.kind === this.kind) + step + tabs.length) % tabs.length];
    this.open(next.dataset.kind);
    next.focus();
  }

  open(kind) {
    this.kind = kind;
    this.show();
  }

  // draws the open tab, if something has changed
  show() {
    const { graph, kind, by } = this;
    const state = [kind, by, graph.fn, graph.zoomed, graph.model.metric, graph.tree].map(identity).join();
    if (state === this.state) return;
    this.state = state;
    for (const tab of this.tabs.children) {
      const open = tab.dataset.kind === kind;
      tab.setAttribute("aria-selected", String(open));
      tab.tabIndex = open ? 0 : -1;
    }
    this.panel.setAttribute("aria-label", TABS[kind]);
    this.panel.replaceChildren(...this.content());
  }

  content() {
    const { graph, kind } = this;
    const { model, fn } = graph;
    if (kind === "functions") return this.functions();
    if (fn === null) return [make("p", "", "Choose a function in the graph or in the table of functions.")];
    const of = make("p", "wb-flame-of");
    of.append(make("strong", "", model.nameOf(fn)), ` ${model.apart[fn]}`);
    if (kind === "windows") return [of, this.windows()];
    const rows = this.rowsOf(kind, fn);
    const none = { callers: "Nothing calls it.", callees: "It calls nothing.", lines: "Its source lines are not known." }[kind];
    if (!rows.length) return [of, make("p", "", none)];
    if (kind === "lines") return [of, this.lines(sorted(rows, this.by))];
    return [of, ...this.table(sorted(rows, "total"), ["total"], "Function")];
  }

  rowsOf(kind, fn) {
    const { payload, model } = this.graph;
    if (kind === "lines") return lineRows(payload.lines, model.metric, fn);
    return payload.edges ? edgeRows(payload.edges, model.metric, fn, kind) : neighbourRows(model.tree, fn, kind);
  }

  functions() {
    const { payload, model, tree, zoomed } = this.graph;
    const measured = measuredIn(payload, model.metric);
    const rows = sorted(functionRows(tree, measured, zoomed), this.by);
    const where = zoomed === 0 ? "" : `Inside ${model.nameOf(tree.fn[zoomed])}.`;
    return [...(where ? [make("p", "", where)] : []), ...this.table(rows, ["self", "total"], "Function")];
  }

  table(rows, columns, first) {
    const compared = rows.some((row) => row.total.length > 1);
    const calls = rows.some((row) => row.calls);
    const table = make("table");
    const head = table.createTHead().insertRow();
    head.append(heading(first));
    const shown = compared ? ["total"] : columns;
    for (const column of shown) head.append(...(compared ? ["Before", "After", "Change"].map((text) => heading(text)) : [this.sorter(column, columns), heading("%")]));
    if (calls) head.append(heading("Calls"));
    const body = table.createTBody();
    for (const row of rows.slice(0, ROWS)) {
      const line = body.insertRow();
      line.append(this.first(row));
      for (const column of shown) line.append(...(compared ? this.changes(row) : this.costs(row[column][0])));
      if (calls) line.append(cell(plainNumber(row.calls)));
      if (row.fn === this.graph.fn) line.setAttribute("aria-current", "true");
    }
    const more = rows.length > ROWS ? [make("p", "", `The ${ROWS} largest of ${plainNumber(rows.length)}.`)] : [];
    return [table, ...more];
  }

  // the total of a line is its own cost and that of its calls, which overlap in recursion
  lines(rows) {
    const table = make("table");
    const columns = ["self", "total"];
    table.createTHead().insertRow().append(heading("Line"), this.sorter("self", columns), heading("%"), this.sorter("total", columns));
    const body = table.createTBody();
    for (const row of rows.slice(0, ROWS)) {
      body.insertRow().append(this.first(row), ...this.costs(row.self[0]), this.costs(row.total[0])[0]);
    }
    return table;
  }

  // a heading that sorts, where there is a choice
  sorter(column, columns) {
    const text = { self: "Self", total: "Total" }[column];
    if (columns.length < 2) return heading(text);
    const element = heading("");
    element.append(button(text, () => { this.by = column; this.show(); }));
    if (this.by === column) element.setAttribute("aria-sort", "descending");
    return element;
  }

  first(row) {
    const element = heading("");
    element.scope = "row";
    if (row.fn === undefined) {
      element.textContent = `${lastParts(row.file) || "file unknown"}${row.line ? `:${row.line}` : ", line unknown"}`;
      element.title = row.file;
      return element;
    }
    const { model, payload } = this.graph;
    const swatch = make("i", "wb-flame-swatch");
    swatch.style.background = model.tintOf(payload.functions.crate[row.fn]);
    swatch.title = payload.functions.crate[row.fn] || "crate unknown";
    const whole = model.nameOf(row.fn), apart = model.apart[row.fn];
    const name = button(shortened(whole, NAME_LETTERS).replace("…", "…\u2060"), () => this.graph.choose(row.fn));
    element.append(swatch, name);
    if (apart) element.append(make("span", "wb-flame-apart", shortened(apart, NAME_LETTERS)));
    element.title = apart ? `${whole}, ${apart}` : whole;
    return element;
  }

  costs(value) {
    const { unit } = this.graph.unit;
    const element = cell(brief(value, unit));
    element.title = inUnit(value, unit);
    return [element, cell(share(value, this.graph.whole))];
  }

  changes({ total: [after, before] }) {
    const { unit } = this.graph.unit;
    return [cell(brief(before, unit)), cell(brief(after, unit)), cell(signed(brief(after - before, unit), after - before))];
  }

  windows() {
    const table = make("table");
    const head = table.createTHead().insertRow();
    head.append(heading("Window"), ...["Self", "Total", "Total, %"].map((text) => heading(text)));
    const body = table.createTBody();
    for (const { label, cost, here } of this.graph.windows()) {
      const line = body.insertRow();
      const first = heading(label);
      first.scope = "row";
      line.append(first);
      if (here) line.setAttribute("aria-current", "true");
      if (!cost) line.append(...["–", "–", "–"].map((text) => cell(text)));
      else line.append(...this.costs(cost.self).slice(0, 1), ...this.costs(cost.total).slice(0, 1), cell(share(cost.total, cost.whole)));
    }
    return table;
  }
}

const numbers = new WeakMap();

// numbers objects in the order of their first use, so that a state is a text
function identity(value) {
  if (value === null || typeof value !== "object") return value;
  if (!numbers.has(value)) numbers.set(value, ++made);
  return `#${numbers.get(value)}`;
}

function heading(text) {
  const element = make("th", "", text);
  element.scope = "col";
  return element;
}

const cell = (text) => make("td", "", text);
