// The page of a report: light or dark, contents that mark the visible section, charts drawn from the JSON beside their
// places when these come near the screen. plotly.js is unpacked from the page, and run for the first of them. Needs no
// network and no eval.

import { holdsLoad, onPaper, whenNear } from "../../charts/flame/js/near.js";
import { unzipped } from "../../charts/flame/js/unzip.js";

const root = document.documentElement;
const plots = [...document.querySelectorAll(".plot")];
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
// what a chart on white paper is drawn with, and the same on dark paper
const DARK = {
  "#ffffff": "#16181b", "#1a1a1a": "#f2f2f2", "#000000": "#f2f2f2", "#555555": "#b4b8bd", "#e2e2e2": "#3a3e43",
  "rgba(255,255,255,0.8)": "rgba(22,24,27,0.8)", "#767676": "#9aa0a6", "#d0d0d0": "#5a6068", "#0072b2": "#3d9be0", "#d55e00": "#ff8a3d", "#009e73": "#2fc79b",
};
const PAPER_PX = 660;
let printing = false;

const isDark = () => !printing && (root.dataset.wbTheme ? root.dataset.wbTheme === "dark" : prefersDark.matches);

function recoloured(value) {
  if (typeof value === "string") return DARK[value.toLowerCase()] ?? value;
  if (Array.isArray(value)) return value.map(recoloured);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, key === "meta" ? inner : recoloured(inner)]));
}

function react(plot) {
  const figure = JSON.parse(document.getElementById(`${plot.id}-data`).textContent);
  const { data, layout } = isDark() ? recoloured(figure) : figure;
  const size = printing ? { width: PAPER_PX, autosize: false } : {};
  return Plotly.react(plot, data, { ...layout, ...size }, { responsive: true, displaylogo: false });
}

function firstDrawn(plot, plotlyText) {
  try {
    if (!globalThis.Plotly) run(plotlyText);
    plot.replaceChildren(); // removes its title
    react(plot);
    plot.dataset.state = "drawn";
  } catch (error) {
    cannot([plot], error);
  }
}

function run(text) {
  const script = document.createElement("script");
  script.textContent = text;
  document.head.append(script);
}

function cannot(these, error) {
  for (const plot of these) {
    plot.dataset.state = "failed";
    plot.textContent = "This browser cannot draw the chart. Its data are in the table below.";
  }
  console.error("charts cannot be drawn:", error);
}

async function charts() {
  try {
    const text = await unzipped(document.getElementById("plotly-packed").textContent).text();
    for (const plot of plots) whenNear(plot, () => firstDrawn(plot, text));
  } catch (error) {
    cannot(plots, error);
  }
}

const redraw = () => plots.filter((plot) => plot.dataset.state === "drawn").forEach(react);

function printed(onIt) {
  if (printing === onIt) return;
  printing = onIt;
  redraw();
}

const theme = document.getElementById("theme");
theme.addEventListener("change", () => {
  if (theme.value) root.dataset.wbTheme = theme.value;
  else delete root.dataset.wbTheme;
  redraw();
});
prefersDark.addEventListener("change", redraw);
onPaper(() => printed(true), () => printed(false));

// the contents: folded if they would push the answers down; the visible section is marked
function contents() {
  const list = document.querySelector("nav details");
  const beside = matchMedia("(min-width: 1000px)");
  const fold = () => { if (list) list.open = beside.matches; };
  fold();
  beside.addEventListener("change", fold);
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const inSight = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((each) => each.isIntersecting)) {
      links.forEach((link) => link.removeAttribute("aria-current"));
      links.get(entry.target.id)?.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "0px 0px -70% 0px" });
  document.querySelectorAll("main h2[id]").forEach((heading) => inSight.observe(heading));
}

if (plots.length) holdsLoad(charts());
if (globalThis.IntersectionObserver) contents();
