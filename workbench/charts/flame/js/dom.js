// Elements of the page. Foreign text is only written to textContent.

export function make(tag, name = "", text = "") {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text) element.textContent = text;
  if (["button", "input", "select", "summary"].includes(tag)) takesKeys(element);
  return element;
}

// JupyterLab handles keys first (x cuts the cell), unless the focused element itself prevents it
export function takesKeys(element) {
  element.dataset.lmSuppressShortcuts = "true";
}

export function labelled(text, control) {
  const label = make("label", "", `${text} `);
  control.setAttribute("aria-label", text);
  label.append(control);
  return label;
}

export function selection(options, chosen, changed) {
  const select = make("select");
  for (const [value, text] of options) {
    const option = select.appendChild(make("option", "", text));
    option.value = value;
  }
  select.value = chosen;
  select.addEventListener("change", () => changed(select.value));
  return select;
}

export function button(text, pressed) {
  const element = make("button", "", text);
  element.type = "button";
  element.addEventListener("click", pressed);
  return element;
}

// buttons of which one is pressed
export function choice(label, options, chosen, changed) {
  const group = make("span", "wb-flame-choice");
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", label);
  const mark = (value) => {
    for (const each of group.children) each.setAttribute("aria-pressed", String(each.dataset.value === value));
  };
  for (const [value, text] of options) {
    const element = button(text, () => { mark(value); changed(value); });
    element.dataset.value = value;
    group.append(element);
  }
  mark(chosen);
  return group;
}
