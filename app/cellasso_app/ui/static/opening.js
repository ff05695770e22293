// What stands on the screen while the file is opened: the page's frame, so that nothing jumps when it fills.
export function render({ model }) {
  const bar = progressBar();
  watch(model, ["busy"], () => bar.show(model.busy, 0));
  takeStoredTheme();
  takeTitle();
  return h("div", { class: "opening" },
    h("header", { class: "appbar" }, h("span", { class: "brand" }, icon("brand"), "cellasso"), h("span", { class: "divider" }),
      h("span", { class: "file" }, model.file)),
    h("div", { class: "sides" }, h("div"), h("div", {}, bar, h("p", { role: "status", "aria-label": "Opening" }, `Opening ${model.file || "the file"}…`)), h("div")));
}

// Panel's pages leave the tab's title as it was when the page came, whatever the document is called afterwards.
function takeTitle() {
  for (const shown of window.Bokeh.documents) {
    document.title = shown.title();
    shown.on_change((event) => { if (event.kind === "TitleChanged") document.title = event.title; });
  }
}
