// Sorts a table by the pressed heading: numbers from the largest, names from A; pressed again, in reverse.

export function sortable(table) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => sort(table.tBodies[0], headings, column));
  });
}

function sort(body, headings, column) {
  const heading = headings[column];
  const numeric = heading.dataset.kind === "number";
  const first = numeric ? "descending" : "ascending";
  const order = heading.getAttribute("aria-sort") === first ? (numeric ? "ascending" : "descending") : first;
  headings.forEach((other) => other.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const key = (row) => (numeric ? Number(row.cells[column].dataset.value ?? NaN) : row.cells[column].textContent);
  const compare = (a, b) => sign * (numeric ? a - b : a.localeCompare(b));
  // missing values are last in either order
  const missing = (value) => numeric && Number.isNaN(value);
  const rows = [...body.rows].map((row) => [key(row), row]);
  rows.sort(([a], [b]) => missing(a) - missing(b) || (missing(a) ? 0 : compare(a, b)));
  body.append(...rows.map(([, row]) => row));
}
