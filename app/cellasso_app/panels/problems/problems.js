export function render({ model }) {
  const list = h("ul", {});
  const close = iconButton("close", "Put away", () => { box.hidden = true; });
  const box = h("div", { class: "problems-bar", role: "status", "aria-label": "Files that cannot be opened" }, list, close);
  watch(model, ["sentences"], () => {
    list.replaceChildren(...model.sentences.map((sentence) => h("li", { title: sentence }, sentence)));
    box.hidden = !model.sentences.length;
  });
  return box;
}
