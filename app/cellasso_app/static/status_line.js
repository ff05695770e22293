export function render({ model }) {
  const text = h("span");
  const warning = h("span", { class: "warning" });
  watch(model, ["text", "warning"], () => {
    text.textContent = text.title = model.text;
    warning.textContent = model.warning;
    warning.title = model.warning;
  });
  return h("div", { class: "status", role: "status", "aria-label": "Status" }, text, warning);
}
