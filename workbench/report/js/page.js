// The page of a profile: sortable tables, light or dark, and files can be dropped on it.

import { sortable } from "./sortable.js";
import { takesFiles } from "./drop.js";

function themed(select) {
  select.addEventListener("change", () => {
    if (select.value) document.documentElement.dataset.wbTheme = select.value;
    else delete document.documentElement.dataset.wbTheme;
  });
}

document.querySelectorAll("table.sortable").forEach(sortable);
themed(document.querySelector("#theme"));
// open contents above the page would move the answers down
const beside = matchMedia("(min-width: 1000px)");
const fold = () => document.querySelector("nav details")?.toggleAttribute("open", beside.matches);
fold();
beside.addEventListener("change", fold);
takesFiles(document.querySelector("main"), document.querySelector("#drop"));
