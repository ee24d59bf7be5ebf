// A file dropped on the page is read here, in the browser, and sent nowhere.

import { ReadError, clean } from "./readers/limits.js";
import { make } from "../../charts/flame/js/dom.js";
import { readDropped } from "./readers/read.js";

export function takesFiles(main, place) {
  const input = place.querySelector("input[type=file]"), said = place.querySelector("[role=status]");
  const show = async (file) => {
    if (!file) return;
    said.textContent = `Reading ${clean(file.name)} …`;
    try {
      shown(main, place, await readDropped(file.name, file));
      said.textContent = "";
    } catch (error) {
      if (!(error instanceof ReadError)) console.error(error);
      const why = error instanceof ReadError ? error.message : "It could not be read.";
      said.textContent = `${clean(file.name)} cannot be shown by this page. ${why} Run: workbench view ${quoted(file.name)}`;
    }
  };
  input.addEventListener("change", () => show(input.files[0]));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    show(event.dataTransfer.files[0]);
  });
}

// a name quoted for a shell
const quoted = (name) => (/^[\w./-]+$/.test(name) ? name : `'${clean(name).replaceAll("'", "'\\''")}'`);

// replaces the page's content by the graph of the file
function shown(main, place, payload) {
  const graph = make("div", "wb-flame");
  graph.dataset.workbenchFlame = "";
  const style = document.getElementById("flame-style").content.cloneNode(true);
  graph.append(style);
  const title = make("h1", "", payload.title);
  const sections = [...main.children].filter((each) => each !== place && !each.matches("header"));
  sections.forEach((each) => each.remove());
  document.querySelector("nav")?.parentElement.removeAttribute("class");
  document.querySelector("nav")?.remove();
  main.append(title, graph);
  document.title = payload.title;
  globalThis.indexerWorkbenchFlame.render(graph, payload);
}
