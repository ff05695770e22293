export function render({ model, el }) {
  atHome(model, el, takeStoredTheme);
  const links = model.files.map((name) => h("li", {}, h("a", { href: `?file=${encodeURIComponent(name)}` }, name)));
  return h("main", { class: "notice" }, h("div", { class: "brand" }, icon("brand"), "cellasso"), h("p", { role: "alert" }, model.text),
    links.length ? h("nav", { "aria-label": "Files" }, h("p", {}, links.length > 1 ? "The files that are here:" : "The file that is here:"), h("ul", {}, links)) : null);
}
