"use strict";

// Sorts a table by the column whose heading is pressed: numbers from the largest, names from A, again the other way round.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const numbers = heading.dataset.kind === "number";
      const first = numbers ? "descending" : "ascending";
      const order = heading.getAttribute("aria-sort") === first ? (numbers ? "ascending" : "descending") : first;
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const key = (row) => (numbers ? Number(row.cells[column].dataset.value ?? NaN) : row.cells[column].textContent);
      const compare = numbers ? (a, b) => sign * (a - b) : (a, b) => sign * a.localeCompare(b);
      // what has no value stands last in either order
      const missing = (value) => numbers && Number.isNaN(value);
      const rows = [...body.rows].map((row) => [key(row), row]);
      rows.sort(([a], [b]) => missing(a) - missing(b) || (missing(a) ? 0 : compare(a, b)));
      body.append(...rows.map(([, row]) => row));
    });
  });
}
