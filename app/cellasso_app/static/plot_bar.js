// The tools are Bokeh's, armed by name; the modifier keys at the start of a stroke say how it combines.
export function render({ model }) {
  const embedding = select("Embedding", [], "", (value) => model.send_msg({ type: "embedding", value }), { class: "quiet" });
  const colored = h("span", { class: "colored", role: "status", "aria-label": "Coloured by" });
  const bar = progressBar();
  const cancel = h("button", { type: "button", class: "link", hidden: true, onclick: () => model.send_msg({ type: "cancel" }) }, "Cancel");
  const tools = {
    pan: iconButton("pan", "Pan", () => arm("pan"), "P"),
    lasso: iconButton("lasso", "Lasso", () => arm("lasso"), "L"),
    box: iconButton("box", "Box", () => arm("box"), "B"),
  };
  const bokehModel = (name) => {
    for (const document of window.Bokeh.documents) {
      const found = document.get_model_by_name(name);
      if (found) return found;
    }
    return null;
  };
  const nothing = "This file has no embedding to draw";
  const arm = (name) => {
    if (!model.embedding) name = "";
    for (const [key, button] of Object.entries(tools)) {
      button.setAttribute("aria-pressed", String(key === name));
      const tool = bokehModel(`tool-${key}`);
      if (tool) tool.active = key === name;
    }
  };
  const zoom = (factor) => model.send_msg({ type: "zoom", factor });

  document.addEventListener("pointerdown", (event) => {
    const operation = event.shiftKey && event.altKey ? "intersect" : event.shiftKey ? "add" : event.altKey ? "subtract" : "replace";
    if (operation !== last) model.send_msg({ type: "operation", operation });
    last = operation;
  }, { capture: true });
  let last = "replace";
  document.addEventListener("keydown", (event) => {
    if (typing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!model.embedding) return;
    const action = { p: () => arm("pan"), l: () => arm("lasso"), b: () => arm("box"), f: () => model.send_msg({ type: "fit" }), "+": () => zoom(0.5), "-": () => zoom(2) }[event.key.toLowerCase()];
    if (action) action();
  });

  const toolbar = h("span", { class: "tools" }, tools.pan, tools.lasso, tools.box, h("span", { class: "gap" }),
    iconButton("plus", "Zoom in", () => zoom(0.5), "+"), iconButton("minus", "Zoom out", () => zoom(2), "-"),
    iconButton("fit", "Fit all cells", () => model.send_msg({ type: "fit" }), "F"));

  watch(model, ["embeddings", "embedding"], () => {
    embedding.hidden = !model.embeddings.length;
    setOptions(embedding, model.embeddings, model.embedding);
    const none = !model.embedding;
    for (const button of toolbar.querySelectorAll("button")) {
      button.disabled = none;
      if (none) button.title = nothing;
    }
    if (none) arm("");
    else if (!Object.values(tools).some((button) => button.getAttribute("aria-pressed") === "true")) arm("pan");
  });
  watch(model, ["color", "color_source"], () => {
    colored.replaceChildren(...(model.color ? ["coloured by ", h("b", {}, model.color), model.color_source ? ` · ${model.color_source}` : ""] : []));
  });
  watch(model, ["busy", "fraction"], () => {
    bar.show(model.busy, model.fraction);
    cancel.hidden = !(model.busy && model.fraction > 0);
  });
  model.pixel_ratio = window.devicePixelRatio || 1;
  return h("div", { class: "part" },
    h("div", { class: "plotbar", role: "toolbar", "aria-label": "Embedding" }, embedding, colored, cancel,
      toolbar),
    bar);
}
