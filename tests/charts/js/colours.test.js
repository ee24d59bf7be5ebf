import assert from "node:assert/strict";
import { test } from "node:test";

import { SCHEMES, schemeName } from "../../../workbench/charts/flame/js/scheme.js";
import { groupColours, signColours } from "../../../workbench/charts/flame/js/colours.js";
import { wholeTree, withCosts } from "../../../workbench/charts/flame/js/tree.js";
import { payloadOf } from "./small.js";

function luminance(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const part = parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

for (const [name, scheme] of Object.entries(SCHEMES)) {
  test(`names can be read on every tint, ${name}`, () => {
    const grounds = [...scheme.tints, ...scheme.more, ...scheme.less, scheme.grey, scheme.root, scheme.match, scheme.faded, scheme.paper];
    for (const ground of grounds) assert.ok(contrast(scheme.ink, ground) >= 4.5, `${ground}: ${contrast(scheme.ink, ground)}`);
    assert.equal(new Set(scheme.tints).size, scheme.tints.length);
  });
}

test("a group has its colour whatever else is drawn", () => {
  const tints = ["tokio::a;app::b", "app::b;zip::c"].map((stack) => {
    const payload = payloadOf({ [stack]: 5, [`other::x;${stack}`]: 9 });
    const model = { payload, tree: withCosts(wholeTree(payload), payload.cost), scheme: SCHEMES.light };
    return new Map(groupColours(model, "crate").legend.map(([tint, group]) => [group, tint])).get("app")
      ?? groupColours(model, "crate").of(model.tree, 1 + payload.fn.indexOf(payload.functions.name.indexOf("app::b")));
  });
  assert.equal(tints[0], tints[1]);
});

test("what is below zero has a colour of its own", () => {
  const payload = payloadOf({ less: -3, more: 4 });
  const tree = withCosts(wholeTree(payload), payload.cost);
  const colours = signColours({ scheme: SCHEMES.dark });
  assert.equal(colours.of(tree, 1), SCHEMES.dark.less[2]);
  assert.equal(colours.of(tree, 2), SCHEMES.dark.more[2]);
});

test("the scheme is what was chosen, else the notebook's, else the system's where a page is made for both", (context) => {
  const page = (wbTheme, jpThemeLight, meta) => ({
    documentElement: { dataset: wbTheme ? { wbTheme } : {} }, body: { dataset: jpThemeLight ? { jpThemeLight } : {} },
    querySelector: () => (meta ? { content: meta } : null),
  });
  globalThis.matchMedia = (query) => ({ matches: query.includes("dark") });
  context.after(() => { delete globalThis.matchMedia; });
  assert.equal(schemeName(page("light", "false", "light dark")), "light");
  assert.equal(schemeName(page("dark", "true", "")), "dark");
  assert.equal(schemeName(page("", "false", "")), "dark");
  assert.equal(schemeName(page("", "", "light dark")), "dark");
  assert.equal(schemeName(page("", "", "light")), "light");
});
