// A sortable table with rows that can be chosen. Cells are text, written to textContent, never as markup.
//
// columns: [name, heading, is it a number]; rows: [id, cells as text, values to sort by]; chosen: ids; most: how many.

function make(name, text = "", classes = "") {
  const element = document.createElement(name);
  element.textContent = text;
  element.className = classes;
  return element;
}

// rows by a column, from the largest or the smallest; unknown values are last in either order
function sorted(rows, order) {
  if (!order) return rows;
  const [column, sign] = order;
  const missing = (row) => row[2][column] === null;
  return [...rows].sort((a, b) => {
    if (missing(a) || missing(b)) return missing(a) - missing(b);
    const [one, other] = [a[2][column], b[2][column]];
    return sign * (typeof one === "number" ? one - other : String(one).localeCompare(String(other)));
  });
}

class Table {
  constructor(model, el) {
    Object.assign(this, { model, order: null, table: make("table"), said: make("p", "", "wb-soft") });
    const root = make("div", "", "wb-panel wb-table wb-scroll");
    root.tabIndex = 0;
    root.append(this.table, this.said);
    el.append(root);
  }

  choose(id) {
    const { model } = this, before = model.get("chosen");
    model.set("chosen", before.includes(id) ? before.filter((one) => one !== id) : [...before, id].slice(-model.get("most")));
    model.save_changes();
  }

  heading([, text, number], column) {
    const { order } = this, cell = make("th", "", number ? "" : "wb-text");
    cell.scope = "col";
    if (order?.[0] === column) cell.setAttribute("aria-sort", order[1] > 0 ? "ascending" : "descending");
    const button = cell.appendChild(make("button", text));
    button.type = "button";
    button.addEventListener("click", () => {
      this.order = [column, order?.[0] === column ? -order[1] : number ? -1 : 1];
      this.show();
    });
    return cell;
  }

  line([id, cells], columns) {
    const row = make("tr");
    row.dataset.id = id;
    row.append(...cells.map((text, at) => make("td", text, columns[at][2] ? "" : "wb-text")));
    if (!this.model.get("most")) return row;
    row.tabIndex = 0;
    row.addEventListener("click", () => this.choose(id));
    row.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      event.stopPropagation(); // Enter in a notebook edits the cell
      this.choose(id);
    });
    return row;
  }

  show() {
    const columns = this.model.get("columns");
    const head = make("thead"), body = make("tbody");
    head.insertRow().append(...columns.map((column, at) => this.heading(column, at)));
    body.append(...sorted(this.model.get("rows"), this.order).map((row) => this.line(row, columns)));
    this.table.replaceChildren(head, body);
    this.said.textContent = this.model.get("said");
    this.mark();
  }

  mark() {
    if (!this.model.get("most")) return;
    const chosen = this.model.get("chosen");
    for (const row of this.table.tBodies[0].rows) row.setAttribute("aria-selected", String(chosen.includes(row.dataset.id)));
  }
}

const DRAWN = ["change:rows", "change:columns", "change:said"];

function render({ model, el }) {
  const table = new Table(model, el);
  const show = () => table.show(), mark = () => table.mark();
  DRAWN.forEach((change) => model.on(change, show));
  model.on("change:chosen", mark);
  show();
  return () => {
    DRAWN.forEach((change) => model.off(change, show));
    model.off("change:chosen", mark);
  };
}

export default { render };
