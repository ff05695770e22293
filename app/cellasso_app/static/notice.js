export function render({ model }) {
  return h("main", { class: "notice", role: "alert" }, h("div", { class: "brand" }, icon("brand"), "cellasso"), h("p", {}, model.text));
}
