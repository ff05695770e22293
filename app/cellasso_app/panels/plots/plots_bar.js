// Above the plot: which one it is, by what cells are grouped, how it is laid out. A click on a group selects its cells.
export function render({ model, el }) {
  const kind = h("select", { class: "title", "aria-label": "Plot", title: "Plot", onchange: () => model.send_msg({ type: "plot", value: kind.value }) });
  const choice = select("Group by", [], "", (value) => model.send_msg({ type: "group_by", value }));
  const pieces = select("Pieces", [], "", (value) => model.send_msg({ type: "pieces", value }));
  const of = h("label", { class: "field" }, "of", pieces);
  const bar = progressBar();
  const cancel = h("button", { type: "button", class: "link", hidden: true, onclick: () => model.send_msg({ type: "cancel" }) }, "Cancel");
  const note = h("div", { class: "empty" });
  const { panel, button } = popover("options", "How the plot is laid out");
  watch(model, ["columns", "group_by", "pieces"], () => {
    setOptions(choice, model.columns, model.group_by);
    setOptions(pieces, model.columns, model.pieces);
    of.hidden = !model.pieces;
  });
  watch(model, ["busy", "fraction"], () => { bar.show(model.busy, model.fraction); cancel.hidden = !model.busy; });
  watch(model, ["message"], () => {
    note.textContent = model.message;
    note.hidden = !model.message;
  });
  watch(model, ["arrangement"], () => {
    const now = model.arrangement;
    if (!now.scales) return;
    const arrange = (choice) => model.send_msg({ type: "arrange", choice });
    const cutoff = h("input", { type: "number", min: "0", step: "any", "aria-label": "Expressed above", value: String(now.cutoff),
      onchange: () => { if (cutoff.value !== "" && cutoff.valueAsNumber >= 0) arrange({ cutoff: cutoff.valueAsNumber }); else cutoff.value = String(now.cutoff); } });
    const save = (format, label) => h("button", { type: "button", class: "row", onclick: () => { panel.hidePopover(); model.send_msg({ type: "save", format }); } }, label);
    rebuild(panel, [h("h3", {}, "Layout"),
      pick("Height", now.sizes, now.size, (size) => arrange({ size })),
      ...(now.of_genes ? [pick("Values", now.scales, now.scale, (scale) => arrange({ scale })),
        ...(now.has_cutoff ? [h("label", { class: "option" }, h("span", {}, "Above"), cutoff)] : []),
        tick("Like groups together, with their tree", now.similar, (similar) => arrange({ similar }))] : []),
      tick(now.of_genes ? "Genes as rows" : "Upright bars", now.swapped, (swapped) => arrange({ swapped })),
      h("h3", {}, "Save"), save("png", "Figure as PNG"), save("svg", "Figure as SVG, text to be edited"), save("csv", "Numbers as CSV")]);
  });

  // The panel fills the window: its own column is laid over the page, and Escape brings it back.
  const whole = iconButton("whole", "Fill the window", () => fill(!filled));
  let filled = false;
  const fill = (value) => {
    const column = el.getRootNode().host?.getRootNode().host; // of the bar, the key and the plot between them
    if (!column || filled === value) return;
    filled = value;
    Object.assign(column.style, filled
      ? { display: "flex", position: "fixed", inset: "0", zIndex: "30", width: "auto", height: "auto", background: "var(--panel)", padding: "8px 16px", flexDirection: "column" }
      : { display: "contents", position: "", inset: "", zIndex: "", width: "", height: "", background: "", padding: "", flexDirection: "" });
    whole.setAttribute("aria-pressed", String(filled));
    whole.title = filled ? "Back to the page (Esc)" : "Fill the window";
    whole.setAttribute("aria-label", whole.title);
    model.send_msg({ type: "fill", value: filled });
    tell(el, "cellasso-fill", filled);
  };
  listen(model, el, "keydown", (event) => {
    if (event.key !== "Escape" || !filled || panel.matches(":popover-open")) return;
    event.stopImmediatePropagation(); // it does not clear the selection, too
    fill(false);
  }, { capture: true });

  const part = h("section", { class: "part own" },
    h("div", { class: "head low" }, kind, cancel, h("span", { style: { marginLeft: "auto" } }), of, h("label", { class: "field" }, "by", choice), whole, button), bar, note, panel);
  watch(model, ["label", "plots", "plot"], () => {
    kind.replaceChildren(...model.plots.map(({ value, label }) => h("option", { value, selected: value === model.plot }, label)));
    part.setAttribute("aria-label", model.label);
  });
  model.on("msg:custom", (message) => { if (message.type === "file") download(message.name, message.bytes); });

  const told = new WeakSet();
  const attach = () => {
    for (const name of model.figures) for (const doc of window.Bokeh?.documents ?? []) {
      const figure = doc.get_model_by_name(name);
      if (!figure || told.has(figure)) continue;
      told.add(figure);
      figure.on_event("tap", ({ x, y, modifiers }) => {
        if (Number.isFinite(x) && Number.isFinite(y)) model.send_msg({ type: "pick", x, y, add: modifiers?.shift ?? false });
      });
      figure.document.event_manager.subscribed_models.add(figure);
    }
  };
  watch(model, ["figures", "busy", "message"], () => setTimeout(attach, 50));
  return part;
}
