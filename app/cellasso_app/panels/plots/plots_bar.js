export function render({ model }) {
  const choice = select("Group by", [], "", (value) => model.send_msg({ type: "group_by", value }));
  const bar = progressBar();
  const note = h("div", { class: "empty" });
  watch(model, ["columns", "group_by"], () => setOptions(choice, model.columns, model.group_by));
  watch(model, ["busy", "fraction"], () => bar.show(model.busy, model.fraction));
  watch(model, ["message"], () => {
    note.textContent = model.message;
    note.hidden = !model.message;
  });
  const title = h("h2");
  const part = h("section", { class: "part own" },
    h("div", { class: "head" }, title, h("label", { class: "field", style: { marginLeft: "auto" } }, "by", choice)), bar, note);
  watch(model, ["label"], () => {
    title.textContent = model.label;
    part.setAttribute("aria-label", model.label);
  });
  return part;
}
