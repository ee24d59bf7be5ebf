// What draws itself when it comes near the screen: within one screen above or below it, which is also when a fold
// around it is opened; before it is printed; at once where the browser cannot tell what is near.

const undrawn = new Map(); // element -> what draws it
const near = new Set();
let observer = null, drawing = false, printable = false;

// ``draw`` is called once, and at once finishes what it does: whoever prints waits for nothing
export function whenNear(element, draw) {
  if (!printable) onPaper(drawAll);
  printable = true;
  undrawn.set(element, draw);
  if (globalThis.IntersectionObserver) (observer ??= new IntersectionObserver(moved, { rootMargin: "100% 0px" })).observe(element);
  else moved([{ target: element, isIntersecting: true }]);
}

export function drawNow(element) {
  const draw = undrawn.get(element);
  near.delete(element);
  if (!undrawn.delete(element)) return;
  observer?.unobserve(element);
  draw();
}

// all that has a place: what is folded away is not printed
function drawAll() {
  for (const element of [...undrawn.keys()].filter((each) => each.getClientRects().length)) drawNow(element);
}

function moved(entries) {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) near.add(target);
    else near.delete(target);
  }
  if (!drawing) drawNear();
}

// one after the other, what is on the screen first; what has left again meanwhile is not drawn
async function drawNear() {
  drawing = true;
  while (near.size) {
    drawNow([...near].map((element) => [beyond(element), element]).reduce((best, each) => (each[0] < best[0] ? each : best))[1]);
    await new Promise((ready) => { setTimeout(ready); });
  }
  drawing = false;
}

// how far an element is from the screen, in pixels
function beyond(element) {
  const { top, bottom } = element.getBoundingClientRect();
  return Math.max(0, top - innerHeight, -bottom);
}

// calls back before the page is put on paper, or shown as if it were, and when it is not any more
export function onPaper(before, after = () => {}) {
  addEventListener("beforeprint", before);
  addEventListener("afterprint", after);
  globalThis.matchMedia?.("print").addEventListener("change", ({ matches }) => (matches ? before() : after()));
}

let holds = 0, frame = null;

// The page's load event waits for ``promise``, which never fails. A browser that is told to print a page does so at that
// event, and what is unpacked by then can be drawn. An open document in a frame keeps the page around it loading.
export function holdsLoad(promise) {
  if (document.readyState === "complete") return promise;
  if (!holds++) {
    frame = document.createElement("iframe");
    frame.hidden = true;
    document.body.append(frame);
    frame.contentDocument.open();
  }
  return promise.finally(() => {
    if (--holds) return;
    frame.contentDocument?.close();
    frame.remove();
  });
}
