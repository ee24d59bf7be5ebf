// A running run: its state, and a bar for each step. Text from Python is only written to textContent.

const COLUMNS = ["step", "bar", "state", "answered", "rate", "p50", "p99", "outcomes", "left", "verdict"];
const TEXT = new Set(["bar", "state", "outcomes", "verdict"]);

function make(name, text = "", classes = "") {
  const element = document.createElement(name);
  element.textContent = text;
  element.className = classes;
  return element;
}

function bar(step, cell) {
  const progress = cell.querySelector("progress") ?? cell.appendChild(make("progress"));
  progress.max = 1;
  progress.value = step.share;
  progress.setAttribute("aria-label", `step ${step.step}, ${Math.round(100 * step.share)} %`);
}

// rows keep their elements between states: nothing flickers, and the selection stays
function fill(body, steps) {
  while (body.rows.length > steps.length) body.deleteRow(-1);
  steps.forEach((step, at) => {
    const row = body.rows[at] ?? body.insertRow();
    while (row.cells.length < COLUMNS.length) row.insertCell();
    row.dataset.state = step.state;
    COLUMNS.forEach((column, place) => {
      const cell = row.cells[place];
      if (column === "bar") bar(step, cell);
      else if (cell.textContent !== step[column]) cell.textContent = step[column];
      cell.className = TEXT.has(column) ? "wb-text" : "";
    });
  });
}

function render({ model, el }) {
  const root = make("section", "", "wb-panel wb-run");
  root.setAttribute("aria-label", "The run");
  const headline = make("p"), doing = make("p", "", "wb-soft"), table = make("table"), sentence = make("p");
  const name = headline.appendChild(make("strong")), about = headline.appendChild(make("span"));
  headline.setAttribute("role", "status");
  const head = table.createTHead().insertRow(), body = table.createTBody();
  const scroll = make("div", "", "wb-scroll");
  scroll.append(table);
  root.append(headline, doing, scroll, sentence);
  el.append(root);
  const show = () => {
    const { run, about: said, doing: now, headings, steps, sentence: end, state } = model.get("run");
    root.dataset.state = state;
    name.textContent = run;
    about.textContent = said;
    doing.textContent = now;
    sentence.textContent = end;
    if (!head.cells.length && steps.length) {
      head.append(...COLUMNS.map((column) => make("th", headings[column], TEXT.has(column) ? "wb-text" : "")));
    }
    table.hidden = !steps.length;
    fill(body, steps);
  };
  model.on("change:run", show);
  show();
  return () => model.off("change:run", show);
}

export default { render };
