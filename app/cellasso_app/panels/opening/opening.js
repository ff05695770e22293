// What stands on the screen while the file is opened: the page's frame, so that nothing jumps when it fills.
export function render({ model, el }) {
  const bar = progressBar();
  watch(model, ["busy"], () => bar.show(model.busy, 0));
  atHome(model, el, takeStoredTheme);
  return h("div", { class: "opening" },
    h("header", { class: "appbar" }, h("span", { class: "brand" }, icon("brand"), "cellasso"), h("span", { class: "divider" }),
      h("span", { class: "file" }, model.file)),
    h("div", { class: "sides" }, h("div"), h("div", {}, bar, h("p", { role: "status", "aria-label": "Opening" }, `Opening ${model.file || "the file"}…`)), h("div")));
}
