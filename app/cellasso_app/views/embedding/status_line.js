export function render({ model }) {
  const text = h("span");
  const warning = h("span", { class: "warning" });
  const said = h("span", { class: "said" });
  watch(model, ["said"], () => {
    said.textContent = said.title = model.said;
    said.hidden = !model.said;
  });
  watch(model, ["text", "warning"], () => {
    text.textContent = text.title = model.text;
    warning.textContent = model.warning;
    warning.title = model.warning;
  });
  return h("div", { class: "status", role: "status", "aria-label": "Status" }, said, text, warning);
}
