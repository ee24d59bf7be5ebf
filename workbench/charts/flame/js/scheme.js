// Light or dark: the reader's choice, otherwise that of the page.

import { DARK, LIGHT } from "./palette.js";

export const SCHEMES = {
  light: {
    paper: "#ffffff", ink: "#1a1a1a", tints: LIGHT, grey: "#dddddd", dust: "#c8c8c8", root: "#eeeeee", match: "#ff9df0",
    faded: "#f3f3f3", more: ["#fbe6cf", "#f8cfa0", "#f2b36b", "#e69a3c"], less: ["#dce9f5", "#b8d4ec", "#8dbbe0", "#5e9fd3"],
    shade: "26,26,26",
  },
  dark: {
    paper: "#16181b", ink: "#f2f2f2", tints: DARK, grey: "#4b4f55", dust: "#62666c", root: "#33373c", match: "#a3157f",
    faded: "#25282c", more: ["#4a3a28", "#6b4a1e", "#855512", "#94570a"], less: ["#2b3a48", "#29506e", "#235f8c", "#1a69a3"],
    shade: "242,242,242",
  },
};

const darkSystem = () => globalThis.matchMedia?.("(prefers-color-scheme: dark)");

// the reader's choice and JupyterLab decide; otherwise the system, if the page supports both
export function schemeName(root = document) {
  if (globalThis.matchMedia?.("print").matches) return "light";
  const chosen = root.documentElement.dataset.wbTheme;
  if (chosen === "light" || chosen === "dark") return chosen;
  const lab = root.body?.dataset.jpThemeLight;
  if (lab) return lab === "true" ? "light" : "dark";
  const both = root.querySelector('meta[name="color-scheme"]')?.content.includes("dark");
  return both && darkSystem()?.matches ? "dark" : "light";
}

const waiting = new Set();

// calls back whenever the scheme may have changed
export function onScheme(changed) {
  if (!waiting.size) {
    const all = () => { for (const each of waiting) each(); };
    darkSystem()?.addEventListener("change", all);
    globalThis.matchMedia?.("print").addEventListener("change", all);
    new MutationObserver(all).observe(document.documentElement, { attributeFilter: ["data-wb-theme"] });
    if (document.body) new MutationObserver(all).observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
  }
  waiting.add(changed);
  return () => waiting.delete(changed);
}
