// A profile in a notebook: the flame graph's own panel, drawn from the bytes that the kernel sends. The script of the
// graph stands before this module and has made indexerWorkbenchFlame.

const flame = globalThis.indexerWorkbenchFlame;

async function unpacked(view) {
  const stream = new Blob([view]).stream().pipeThrough(new DecompressionStream("gzip"));
  return flame.parse(await new Response(stream).arrayBuffer());
}

function render({ model, el }) {
  const host = document.createElement("div");
  host.className = "wb-flame";
  host.dataset.workbenchFlame = "";
  host.dataset.state = "reading"; // so that no other script takes it for a graph that waits
  // JupyterLab's own keys are not those of the graph
  host.dataset.lmSuppressShortcuts = "true";
  el.append(host);
  let turn = 0;
  const show = async () => {
    const mine = ++turn;
    try {
      const payload = await unpacked(model.get("payload"));
      if (mine !== turn) return; // a newer one is on its way
      host.replaceChildren();
      const title = document.createElement("p"), name = document.createElement("strong");
      title.className = "wb-flame-title";
      name.textContent = payload.title;
      title.append(name);
      host.append(title);
      flame.render(host, payload);
    } catch (error) {
      host.dataset.state = "failed";
      host.textContent = "This browser cannot draw the flame graph.";
      console.error("the flame graph cannot be drawn:", error);
    }
  };
  const chosen = ({ detail }) => {
    if (detail === model.get("chosen")) return;
    model.set("chosen", detail);
    model.save_changes();
  };
  host.addEventListener("workbench-chosen", chosen);
  model.on("change:payload", show);
  show();
  return () => model.off("change:payload", show);
}

export default { render };
