// How keys, mouse, wheel and touch control a pane.

import { firstBeyond } from "./layout.js";

const GRIP_PX = 4; // a smaller movement counts as a click
const WHEEL = 300;

export function listen(pane) {
  const { view } = pane;
  view.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (key(pane, event)) {
      event.preventDefault();
      event.stopPropagation();
    }
  });
  view.addEventListener("focus", () => {
    pane.chosen = true;
    pane.draw();
    pane.listener.chosen(pane, pane.focus, true);
  });
  view.addEventListener("scroll", () => pane.draw(), { passive: true });
  view.addEventListener("wheel", (event) => wheel(pane, event), { passive: false });
  pointers(pane);
}

function key(pane, event) {
  if (event.key === "Enter") pane.zoom(pane.focus);
  else if (event.key === "Backspace") pane.back();
  else if (event.key === "Escape") pane.zoom(0);
  else if (event.key === "+" || event.key === "-") pane.turn(event.key === "+" ? 0.5 : 2, 0.5, 0);
  else if (event.key.toLowerCase() === "s") pane.listener.asked(pane, pane.focus);
  else {
    const to = neighbour(pane, event.key);
    if (to === false) return false;
    if (to !== undefined && inView(pane, to)) pane.choose(to);
  }
  return true;
}

// the node that a key moves to from the focused one: undefined if there is none, false for other keys
export function neighbour({ tree, layout, focus, range, upward }, pressed) {
  const deeper = upward ? "ArrowUp" : "ArrowDown", higher = upward ? "ArrowDown" : "ArrowUp";
  if (pressed === "Home") return 0;
  if (pressed === higher) return focus ? tree.parent[focus] : undefined;
  if (pressed === deeper) {
    const below = layout.rows[layout.rowOf[focus] + 1];
    const child = below && below[firstBeyond(layout, below, Math.max(layout.x[focus], range[0]))];
    return child !== undefined && tree.parent[child] === focus ? child : undefined;
  }
  // threads are drawn below each other but are siblings in the tree
  const row = layout.threads?.includes(focus) ? layout.threads : layout.rows[layout.rowOf[focus]];
  if (pressed === "ArrowRight") return row[row.indexOf(focus) + 1];
  if (pressed === "ArrowLeft") return row[row.indexOf(focus) - 1];
  return false;
}

export function inView({ layout, range }, node) {
  return layout.x[node] < range[1] && layout.x[node] + layout.width[node] > range[0];
}

function wheel(pane, event) {
  const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
  const [x] = place(pane, event);
  if (event.ctrlKey || event.metaKey) pane.turn(Math.exp(event.deltaY / WHEEL), x / pane.width, 0);
  else if (sideways && !pane.isWhole) pane.turn(1, 0, sideways / pane.width);
  else return;
  event.preventDefault();
}

function place({ canvas }, event) {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

function pointers(pane) {
  const { canvas } = pane;
  let grip = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button === 0) grip = { x: event.clientX, touch: event.pointerType === "touch", moved: false };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (grip && (grip.moved || Math.abs(event.clientX - grip.x) > GRIP_PX) && event.buttons) {
      if (!grip.moved) canvas.setPointerCapture(event.pointerId);
      grip.moved = true;
      pane.turn(1, 0, (grip.x - event.clientX) / pane.width);
      grip.x = event.clientX;
      pane.point(-1);
    } else if (event.pointerType !== "touch") pane.point(pane.nodeAt(...place(pane, event)), ...place(pane, event));
  });
  canvas.addEventListener("pointerleave", () => pane.point(-1));
  canvas.addEventListener("pointercancel", () => { grip = null; });
  canvas.addEventListener("pointerup", (event) => {
    const held = grip;
    grip = null;
    if (held && !held.moved) click(pane, pane.nodeAt(...place(pane, event)), held.touch);
  });
}

function click(pane, node, touch) {
  if (node < 0) return;
  // touch has no hover: the first touch describes a bar, the second zooms
  if (!touch || (pane.chosen && node === pane.focus)) pane.zoom(node);
  pane.choose(node);
}
