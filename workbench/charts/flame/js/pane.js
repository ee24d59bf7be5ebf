// A pane: one tree on one canvas, and the visible part of it.

import { ASSUMED, changeOf } from "./tree.js";
import { NARROWEST_PX, ROW_PX, Slivers } from "./slivers.js";
import { PATTERNS } from "./colours.js";
import { clock, ticks } from "./timeline.js";
import { described, shortened } from "./words.js";
import { firstBeyond } from "./layout.js";
import { listen } from "./input.js";
import { button, make, takesKeys } from "./dom.js";

const BAR_PX = 3; // from this width on a bar has an edge
const TICK_PX = 110;
const RULER_PX = 20;
const MOVE_MS = 160;
const HEADINGS = { callers: "Callers", callees: "Callees" };

export class Pane {
  constructor(model, role, listener) {
    Object.assign(this, { model, role, listener, focus: 0, hover: -1, zooms: [0] });
    this.element = make("div");
    if (role in HEADINGS) this.element.append(make("p", "", HEADINGS[role]));
    this.crumbs = this.element.appendChild(make("ol", "wb-flame-crumbs"));
    if (role === "time") this.ruler = this.element.appendChild(make("canvas", "wb-flame-ruler"));
    this.view = this.element.appendChild(make("div", "wb-flame-view"));
    this.spacer = this.view.appendChild(make("div"));
    this.canvas = this.spacer.appendChild(make("canvas"));
    this.context = this.canvas.getContext("2d");
    this.slivers = make("canvas");
    this.tip = this.element.appendChild(make("div", "wb-flame-tip"));
    this.tip.hidden = true;
    this.view.tabIndex = 0;
    takesKeys(this.view);
    this.view.setAttribute("role", "application");
    this.view.setAttribute("aria-roledescription", role === "time" ? "spans in order of time" : "flame graph");
    this.repaint();
    listen(this);
  }

  // the patterns of the scheme that is shown
  repaint() {
    const { shade } = this.model.scheme;
    this.patterns = Object.fromEntries(Object.entries(PATTERNS).map(([name, paint]) => {
      const tile = make("canvas"), size = name === "assumed" ? 4 : 8;
      tile.width = tile.height = size;
      paint(tile.getContext("2d"), size, shade);
      return [name, this.context.createPattern(tile, "repeat")];
    }));
  }

  // upward: the root at the bottom
  show(tree, layout, { upward, keep, name }) {
    Object.assign(this, { tree, layout, upward });
    this.view.setAttribute("aria-label", `${name}. Arrow keys move, Enter zooms, Backspace goes back, Escape shows all, S shows callers and callees.`);
    if (!keep) {
      this.zooms = [0];
      this.focus = 0;
    }
    this.zooms = this.zooms.filter((node) => layout.width[node] > 0);
    if (!this.zooms.length) this.zooms = [0];
    if (!(layout.width[this.focus] > 0)) this.focus = 0;
    this.hover = -1;
    this.tip.hidden = true;
    this.range = this.rangeOf(this.zoomed);
    this.fit();
    if (!keep) this.view.scrollTop = upward ? this.view.scrollHeight : 0;
    this.trail();
    this.draw();
  }

  get zoomed() { return this.zooms[this.zooms.length - 1]; }

  get isWhole() { return this.zooms.length === 1 && this.range[0] === 0 && this.range[1] === this.layout.width[0]; }

  rangeOf(node) { return [this.layout.x[node], this.layout.x[node] + this.layout.width[node]]; }

  fit() {
    const full = this.layout.rows.length * ROW_PX + 1;
    this.spacer.style.height = `${full}px`;
    this.width = this.view.clientWidth;
    this.height = Math.min(full, this.view.clientHeight || full);
  }

  rowTop(row) {
    const top = (this.upward ? this.layout.rows.length - 1 - row : row) * ROW_PX;
    return top - this.view.scrollTop;
  }

  // drawing

  draw() {
    const { context, layout, width, height, model } = this;
    if (!width || !height) return; // hidden; drawn when it gets a size
    const ratio = globalThis.devicePixelRatio || 1;
    sized(this.canvas, width, height, ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = model.scheme.paper;
    context.fillRect(0, 0, width, height);
    context.font = "12px ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace";
    context.textBaseline = "middle";
    this.letter ??= context.measureText("m").width;
    const scale = width / (this.range[1] - this.range[0]);
    const rows = [], tops = [];
    for (let number = 0; number < layout.rows.length; number++) {
      const top = this.rowTop(number);
      if (top > -ROW_PX && top < height) {
        rows.push(layout.rows[number]);
        tops.push(top);
      }
    }
    const slivers = new Slivers(this.slivers, Math.round(width * ratio), rows.length, ratio, model.scheme.dust);
    rows.forEach((row, line) => this.drawRow(row, tops[line], scale, slivers.line(line)));
    slivers.draw(context, tops, width);
    this.drawFocus(scale);
    if (this.ruler) this.drawRuler(scale, ratio);
  }

  drawFocus(scale) {
    const { context, layout } = this;
    for (const [node, thick] of [[this.hover, 1], [this.focus, 2]]) {
      if (node < 0 || (node === this.focus && this.hover !== node && document.activeElement !== this.view && !this.chosen)) continue;
      const [left, right] = this.edges(node, scale);
      context.strokeStyle = this.model.scheme.ink;
      context.lineWidth = thick;
      context.strokeRect(left + thick / 2, this.rowTop(layout.rowOf[node]) + thick / 2, Math.max(thick, right - left - thick), ROW_PX - thick);
    }
  }

  drawRuler(scale, ratio) {
    const { ruler, width, range, model } = this;
    sized(ruler, width, RULER_PX, ratio);
    const context = ruler.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, RULER_PX);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.fillStyle = model.scheme.ink;
    const { step, places } = ticks(range[0], range[1], width / TICK_PX);
    for (const place of places) {
      const x = Math.round((place - range[0]) * scale);
      context.fillRect(x, RULER_PX - 6, 1, 6);
      const text = clock(place, step);
      if (x + 4 + context.measureText(text).width < width) context.fillText(text, x + 4, RULER_PX / 2 - 1);
    }
  }

  edges(node, scale) {
    const left = (this.layout.x[node] - this.range[0]) * scale;
    return [Math.max(-2, left), Math.min(this.width + 2, left + this.layout.width[node] * scale)];
  }

  drawRow(row, top, scale, sliver) {
    const { layout, range, width: room } = this;
    for (let position = firstBeyond(layout, row, range[0]); position < row.length; position++) {
      const node = row[position];
      if (layout.x[node] >= range[1]) break;
      const width = layout.width[node] * scale;
      const left = (layout.x[node] - range[0]) * scale;
      if (width >= BAR_PX) this.drawBar(node, Math.max(-2, left), Math.min(room + 2, left + width), top);
      else if (width >= NARROWEST_PX) sliver.fill(left, left + width, this.colour(node));
      else sliver.dust(left, width);
    }
  }

  colour(node) {
    const { model, tree } = this;
    if (!model.matches) return model.colours.of(tree, node);
    if (model.matches[tree.fn[node]]) return model.scheme.match;
    return this.isAbove(node) ? model.colours.of(tree, node) : model.scheme.faded;
  }

  drawBar(node, left, right, top) {
    const { context, tree, model } = this;
    const shown = right - left - 0.75;
    context.fillStyle = this.colour(node);
    context.fillRect(left, top, shown, ROW_PX - 1);
    if (model.matches && model.matches[tree.fn[node]]) {
      context.fillStyle = model.scheme.ink;
      context.fillRect(left, top, shown, 2);
    }
    if (tree.total.length === 2 && !model.matches) {
      const { added, removed } = changeOf(tree, node);
      if (added || removed) {
        context.fillStyle = this.patterns[added ? "added" : "removed"];
        context.fillRect(left, top, shown, ROW_PX - 1);
      }
    }
    if (tree.flags[node] & ASSUMED) {
      context.fillStyle = this.patterns.assumed;
      context.fillRect(left, top + ROW_PX - 3, shown, 2);
    }
    if (right - left >= 4 * this.letter) this.drawName(node, left, right, top);
  }

  drawName(node, left, right, top) {
    const { context, tree, model } = this;
    const start = Math.max(left, 0) + 3;
    const mark = model.mark(tree, node);
    const room = Math.min(right, this.width) - start - 2 - mark.length * this.letter;
    const text = mark + this.fitting(model.nameOf(tree.fn[node]), room);
    if (text.length * this.letter > right - start) return;
    context.fillStyle = model.scheme.ink;
    context.fillText(text, start, top + ROW_PX / 2);
  }

  isAbove(node) {
    return node <= this.zoomed && this.tree.end[node] > this.zoomed;
  }

  fitting(text, room) {
    let short = shortened(text, Math.floor(room / this.letter));
    // letters of other scripts are wider
    while (short.length > 1 && /[^\x20-\x7e…]/.test(short) && this.context.measureText(short).width > room) {
      short = shortened(text, short.length - 1);
    }
    return short;
  }

  // the node at a place on the canvas, -1: none
  nodeAt(x, y) {
    const line = Math.floor((y + this.view.scrollTop) / ROW_PX);
    const row = this.layout.rows[this.upward ? this.layout.rows.length - 1 - line : line];
    if (!row) return -1;
    const at = this.range[0] + (x / this.width) * (this.range[1] - this.range[0]);
    const node = row[firstBeyond(this.layout, row, at)];
    return node !== undefined && this.layout.x[node] <= at ? node : -1;
  }

  // moving about

  choose(node, { said = true } = {}) {
    this.focus = node;
    this.chosen = true;
    this.reveal(node);
    this.draw();
    this.listener.chosen(this, node, said);
  }

  reveal(node) {
    const top = this.rowTop(this.layout.rowOf[node]);
    if (top < 0) this.view.scrollTop += top;
    else if (top + ROW_PX > this.height) this.view.scrollTop += top + ROW_PX - this.height;
  }

  zoom(node) {
    if (node !== this.zoomed) this.zooms = node === 0 ? [0] : [...this.zooms, node];
    this.zoomedTo(node);
  }

  back() {
    if (this.zooms.length > 1) this.zooms.pop();
    this.zoomedTo(this.zoomed);
  }

  zoomedTo(node) {
    this.moveTo(this.rangeOf(node));
    this.trail();
    this.listener.zoomed(this);
  }

  moveTo(range) {
    const start = this.range, began = performance.now();
    cancelAnimationFrame(this.moving);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches || !this.width) {
      this.range = range;
      this.draw();
      return;
    }
    const step = (now) => {
      const part = Math.min(1, Math.max(0, (now - began) / MOVE_MS));
      this.range = part === 1 ? range : start.map((edge, side) => edge + (range[side] - edge) * part * (2 - part));
      this.draw();
      if (part < 1) this.moving = requestAnimationFrame(step);
    };
    this.moving = requestAnimationFrame(step);
  }

  // change the visible range by hand: ``factor`` < 1 shows less, around ``at`` (0 to 1); ``shift`` moves by parts of it
  turn(factor, at, shift) {
    const whole = this.layout.width[0];
    const span = Math.min(whole, Math.max(whole * 1e-9, (this.range[1] - this.range[0]) * factor));
    const middle = this.range[0] + (this.range[1] - this.range[0]) * at;
    const low = Math.min(whole - span, Math.max(0, middle - span * at + span * shift));
    cancelAnimationFrame(this.moving);
    this.range = [low, low + span];
    this.draw();
    this.listener.turned(this);
  }

  trail() {
    const path = [];
    for (let node = this.zoomed; node !== -1; node = this.tree.parent[node]) path.unshift(node);
    const shown = path.length > 8 ? [...path.slice(0, 3), -1, ...path.slice(-4)] : path;
    this.crumbs.replaceChildren(...shown.map((node) => (node === -1 ? make("li", "", `… ${path.length - 7} more`) : this.crumb(node))));
  }

  crumb(node) {
    const item = make("li");
    const text = this.model.nameOf(this.tree.fn[node]);
    const step = item.appendChild(button(shortened(text, 40), () => { this.zoom(node); this.choose(node); }));
    step.title = text;
    if (node === this.zoomed) step.setAttribute("aria-current", "true");
    return item;
  }

  point(node, x, y) {
    if (node !== this.hover) {
      this.hover = node;
      this.draw();
      this.tip.hidden = node < 0;
      if (node >= 0) this.tip.replaceChildren(...described(this.model, this.tree, node, this.role).map((line) => make("div", "", line)));
    }
    if (node < 0) return;
    const top = this.view.offsetTop + y, room = this.element.clientWidth;
    this.tip.style.left = `${Math.max(0, Math.min(x + 14, room - this.tip.offsetWidth))}px`;
    this.tip.style.top = `${top + 20}px`;
  }
}

function sized(canvas, width, height, ratio) {
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width === wide && canvas.height === high) return;
  canvas.width = wide;
  canvas.height = high;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
}
