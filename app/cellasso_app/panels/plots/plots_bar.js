// Above the plot: which one it is, by what cells are grouped, how it is laid out. A click on a row of it selects its cells.
export function render({ model, el }) {
  const kind = h("select", { class: "title", "aria-label": "Plot", title: "Plot", onchange: () => model.send_msg({ type: "plot", value: kind.value }) });
  const choice = select("Group by", [], "", (value) => model.send_msg({ type: "group_by", value }));
  const bar = progressBar();
  const note = h("div", { class: "empty" });
  const { panel, button } = popover("options", "How the plot is laid out");
  watch(model, ["columns", "group_by"], () => setOptions(choice, model.columns, model.group_by));
  watch(model, ["busy", "fraction"], () => bar.show(model.busy, model.fraction));
  watch(model, ["message"], () => {
    note.textContent = model.message;
    note.hidden = !model.message;
  });
  watch(model, ["arrangement"], () => {
    const now = model.arrangement;
    if (!now.scales) return;
    const arrange = (choice) => model.send_msg({ type: "arrange", choice });
    const tick = (label, checked, onchange) => {
      const node = h("input", { type: "checkbox", "aria-label": label, checked, onchange: () => onchange(node.checked) });
      return h("label", { class: "tick" }, node, h("span", {}, label));
    };
    const scale = h("select", { "aria-label": "Means", onchange: () => arrange({ scale: scale.value }) },
      now.scales.map(({ value, label }) => h("option", { value, selected: value === now.scale }, label)));
    rebuild(panel, [h("h3", {}, "Layout"), h("label", { class: "option" }, h("span", {}, "Means"), scale),
      tick("Like groups side by side", now.similar, (similar) => arrange({ similar })),
      tick("Genes as rows", now.swapped, (swapped) => arrange({ swapped })),
      h("h3", {}, "Numbers"), h("button", { type: "button", class: "row", onclick: () => { panel.hidePopover(); model.send_msg({ type: "csv" }); } }, "Save as CSV")]);
  });
  const part = h("section", { class: "part own" },
    h("div", { class: "head low" }, kind, h("label", { class: "field", style: { marginLeft: "auto" } }, "by", choice), button), bar, note, panel);
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
        const at = (range, value) => range.factors[Math.floor(value)] ?? "";
        const row = at(figure.y_range, y), column = at(figure.x_range, x);
        if (row || column) model.send_msg({ type: "pick", row, column, add: modifiers?.shift ?? false });
      });
      figure.document.event_manager.subscribed_models.add(figure);
    }
  };
  watch(model, ["figures", "busy"], () => setTimeout(attach, 0));
  return part;
}
