// One panel of several at a time, chosen by a slider. A panel draws itself when it gets a size.
(() => {
  const root = document.currentScript.parentElement;
  const panels = [...root.querySelectorAll(":scope > section[data-step]")];
  if (panels.length < 2 || root.dataset.started) return;
  root.dataset.started = "yes";
  const bar = document.createElement("p");
  const label = document.createElement("label");
  const slider = document.createElement("input");
  const shown = document.createElement("output");
  slider.type = "range";
  slider.min = "0";
  slider.max = String(panels.length - 1);
  slider.step = "1";
  slider.value = "0";
  slider.setAttribute("aria-label", "Step");
  slider.style.verticalAlign = "middle";
  label.append("Step ", slider, " ", shown);
  bar.append(label);
  root.prepend(bar);
  let last = 0;
  const graphIn = (number) => panels[number].querySelector("[data-workbench-flame]");
  const show = () => {
    const now = Number(slider.value);
    panels.forEach((panel, number) => { panel.hidden = number !== now; });
    // metric, search and colours stay what they were: the reader compares steps
    const before = graphIn(last)?.flameGraph;
    if (now !== last && before) {
      graphIn(now)?.drawNow?.();
      graphIn(now)?.flameGraph?.takeOver(before.choices);
    }
    last = now;
    const name = panels[now].getAttribute("aria-label");
    shown.textContent = name;
    slider.setAttribute("aria-valuetext", name);
  };
  slider.addEventListener("input", show);
  show();
})();
