// The tools are Bokeh's, armed by name; the modifier keys at the start of a stroke say how it combines.
export function render({ model, el }) {
  const dims = ["x", "y"].map((axis, at) => select(`Dimension along ${axis}`, [], "", (value) => {
    const chosen = [...model.dims];
    chosen[at] = Number(value);
    if (chosen[0] === chosen[1]) chosen[1 - at] = model.dims[at];
    model.send_msg({ type: "dims", x: chosen[0], y: chosen[1] });
  }, { class: "quiet dims" }));
  const embedding = select("Embedding", [], "", (value) => model.send_msg({ type: "embedding", value }), { class: "quiet" });
  const colored = h("span", { class: "colored", role: "status", "aria-label": "Coloured by" });
  const bar = progressBar();
  const cancel = h("button", { type: "button", class: "link", hidden: true, onclick: () => model.send_msg({ type: "cancel" }) }, "Cancel");
  const tools = {
    pan: iconButton("pan", "Pan", () => arm("pan"), "P"),
    lasso: iconButton("lasso", "Lasso", () => arm("lasso"), "L"),
    box: iconButton("box", "Box", () => arm("box"), "B"),
    polygon: iconButton("polygon", "Polygon by clicks", () => arm("polygon"), "G"),
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
    if (!model.embedding && !model.pair.length) name = "";
    for (const [key, button] of Object.entries(tools)) {
      button.setAttribute("aria-pressed", String(key === name));
      const tool = bokehModel(`${model.figure}-tool-${key}`);
      if (tool) tool.active = key === name;
    }
  };
  const zoom = (factor) => model.send_msg({ type: "zoom", factor });

  listen(model, el, "pointerdown", (event) => {
    const operation = event.shiftKey && event.altKey ? "intersect" : event.shiftKey ? "add" : event.altKey ? "subtract" : "replace";
    const polygon = bokehModel(`${model.figure}-tool-polygon`);
    if (polygon?.active && Array.from(polygon.overlay.xs).length) return; // its first click has said it
    if (operation !== last) model.send_msg({ type: "operation", operation });
    last = operation;
  }, { capture: true });
  let last = "replace";
  listen(model, el, "keydown", (event) => {
    if (!model.active || typing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!model.embedding && !model.pair.length) return;
    const action = { p: () => arm("pan"), l: () => arm("lasso"), b: () => arm("box"), g: () => arm("polygon"), f: () => model.send_msg({ type: "fit" }), "+": () => zoom(0.5), "-": () => zoom(2) }[event.key.toLowerCase()];
    if (action) action();
  });

  const add = iconButton("add", "Another view beside this one", () => model.send_msg({ type: "add" }));
  const remove = iconButton("close", "Close this view", () => model.send_msg({ type: "remove" }));
  watch(model, ["several", "full"], () => { remove.hidden = !model.several; add.hidden = model.full; });
  const pair = pairDialog(model);
  const options = drawingOptions(model, el);
  const figures = figureMenu(model);
  const zoomed = [iconButton("plus", "Zoom in", () => zoom(0.5), "+"), iconButton("minus", "Zoom out", () => zoom(2), "-")];
  for (const button of zoomed) button.classList.add("zoom");
  const fit = iconButton("fit", "Fit all cells", () => model.send_msg({ type: "fit" }), "F");
  fit.classList.add("fit");
  const toolbar = h("span", { class: "tools" }, tools.pan, tools.lasso, tools.box, tools.polygon, h("span", { class: "gap" }),
    zoomed,
    fit, h("span", { class: "gap" }), options.button, figures.button, h("span", { class: "gap" }), add, remove);

  watch(model, ["embeddings", "embedding", "pair"], () => {
    embedding.hidden = !model.embeddings.length && !model.pair.length;
    const two = model.pair.length ? [`${model.pair[0]} × ${model.pair[1]}`] : [];
    setOptions(embedding, [...two, ...model.embeddings], two[0] ?? model.embedding);
    const none = !model.embedding && !model.pair.length;
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
  watch(model, ["dims_offered", "dims", "pair"], () => dims.forEach((node, at) => {
    node.hidden = model.dims_offered.length < 3 || model.pair.length > 0;
    node.replaceChildren(...model.dims_offered.map(({ value, label }) => h("option", { value, selected: value === model.dims[at] }, label)));
  }));
  const bars = h("div", { class: "plotbar", role: "toolbar", "aria-label": "Embedding" }, embedding, dims, pair.button, colored, cancel,
    toolbar);
  watch(model, ["several", "active"], () => bars.classList.toggle("chosen", model.several && model.active));
  return h("div", { class: "part" }, bars,
    bar, options.panel, figures.panel, pair.panel);
}

// How cells are drawn: size, order, colours of values, names, and what the pointer tells.
function drawingOptions(model, el) {
  const choose = (choice) => model.send_msg({ type: "drawing", choice });
  const { panel, button } = popover("options", "How cells are drawn", "O");
  listen(model, el, "keydown", (event) => {
    if (model.active && !typing(event) && !event.ctrlKey && !event.metaKey && !event.altKey && event.key.toLowerCase() === "o") panel.togglePopover();
  });
  watch(model, ["drawing"], () => {
    const now = model.drawing;
    if (!now.sizes) return;
    const parts = [h("h3", {}, "Cells"),
      pick("Size", [{ value: null, label: "automatic" }, ...now.sizes.map((size) => ({ value: size, label: `${size} px` }))], now.size, (size) => choose({ size })),
      ...(now.orders.length ? [pick("Drawn", now.orders, now.order, (order) => choose({ order }))] : []),
      ...(now.crowds ? [pick("Crowds", now.shadings, now.crowds, (crowds) => choose({ crowds })),
        h("p", { class: "hint" }, now.crowds === "eq_hist"
          ? "Histogram-equalised: each opacity has as many pixels as any other. It shows where a cell is one pixel."
          : "How opacity rises with the cells in a pixel. It shows where a cell is one pixel.")] : [])];
    if (now.scale) parts.push(h("h3", {}, "Colours of values"),
      pick("Colour map", now.scale.color_maps.map((name) => ({ value: name, label: name === "cellasso" ? "with the page" : name })), now.scale.color_map, (name) => choose({ color_map: name })),
      pick("End at", now.scale.clips.map((clip) => ({ value: clip, label: clip === 100 ? "the highest value" : `the ${clip}th percentile` })), now.scale.clip, (clip) => choose({ clip })),
      pick("Shading", now.shadings, now.scale.shading, (shading) => choose({ shading })),
      ...(now.scale.shading === "eq_hist" ? [h("p", { class: "hint" }, "Histogram-equalised: each colour has as many cells as any other.")] : []),
      tick("Reversed", now.scale.reverse, (reverse) => choose({ reverse })),
      tick("0 in the middle", now.scale.centre, (centre) => choose({ centre })));
    else parts.push(h("h3", {}, "Names"), tick("Name categories in the picture", now.labelled, (labelled) => choose({ labelled })));
    if (now.tissues.length || now.underlays.length) parts.push(h("h3", {}, "Under the cells"));
    if (now.tissues.length) parts.push(pick("Tissue", [{ value: "none", label: "none" }, ...now.tissues], now.tissue, (tissue) => choose({ tissue })));
    if (now.underlays.length) parts.push(pick("Lines", [{ value: "", label: "none" }, ...now.underlays],
      now.underlays.some(({ value }) => value === now.underlay) ? now.underlay : "", (underlay) => choose({ underlay })));
    if (now.downward !== null) parts.push(h("h3", {}, "Axes"), tick("y runs down, as in an image", now.downward, (downward) => choose({ downward })));
    if (now.columns.length) parts.push(h("h3", {}, "Under the pointer"),
      h("div", { class: "told scroll" }, now.columns.map((name) => tick(name, now.hover.includes(name), (checked) =>
        choose({ hover: checked ? [...now.hover, name] : now.hover.filter((other) => other !== name) })))));
    rebuild(panel, parts);
  });
  return { button, panel };
}


function figureMenu(model) {
  const { panel, button } = popover("save", "Save as a figure");
  panel.classList.add("menu");
  for (const [label, format, dpi] of [["PNG, 300 dpi", "png", 300], ["PNG, 600 dpi", "png", 600], ["SVG, text and axes as vectors", "svg", 300]]) {
    panel.append(h("button", { type: "button", class: "row", onclick: () => { panel.hidePopover(); model.send_msg({ type: "figure", format, dpi }); } }, label));
  }
  return { panel, button };
}

// Two columns of numbers or genes in place of an embedding.
function pairDialog(model) {
  const { panel, button } = popover("pair", "Draw two columns or genes");
  const fields = ["x", "y"].map((axis) => h("input", { type: "text", list: "numbers", "aria-label": `Along ${axis}`, placeholder: "column or gene", maxlength: 1000 }));
  const known = h("datalist", { id: "numbers" });
  const form = h("form", {}, h("h3", {}, "Draw two columns or genes"),
    fields.map((field, at) => h("label", { class: "option" }, h("span", {}, `Along ${"xy"[at]}`), field)), known,
    h("div", { class: "end" }, h("button", { type: "submit", class: "plain" }, "Draw")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    panel.hidePopover();
    model.send_msg({ type: "pair", x: fields[0].value, y: fields[1].value });
  });
  panel.append(form);
  panel.addEventListener("toggle", (event) => {
    if (event.newState !== "open") return;
    known.replaceChildren(...model.numbers.map((value) => h("option", { value })));
    fields.forEach((field, at) => { field.value = model.pair[at] ?? field.value; });
    fields[0].focus();
  });
  return { panel, button };
}