// Text as it is, in a line or in lines: from other programs and from files, so it goes to textContent only.

function render({ model, el }) {
  const root = document.createElement("div"), text = document.createElement("pre");
  root.className = "wb-panel wb-said";
  root.setAttribute("role", "status");
  root.append(text);
  el.append(root);
  const show = () => {
    text.textContent = model.get("text");
    root.hidden = !model.get("text");
    root.dataset.kind = model.get("kind");
  };
  model.on("change:text", show);
  show();
  return () => model.off("change:text", show);
}

export default { render };
