export function render({ model, el }) {
  const list = h("div", { class: "scroll", role: "group", "aria-label": "Columns of obs" });
  const search = h("input", { type: "search", placeholder: "Find a column", "aria-label": "Find a column", oninput: () => show() });
  const bar = progressBar();
  const count = h("span", { class: "count" });
  let shownActive = null;

  const show = () => {
    const wanted = search.value.trim().toLowerCase();
    const shown = model.columns.filter((column) => column.name.toLowerCase().includes(wanted));
    const top = list.scrollTop;
    rebuild(list, shown.flatMap((column) => {
      const open = column.name === model.active;
      const n = (model.hidden[column.name] ?? []).length;
      const row = h("button", {
        type: "button", class: "row", "aria-expanded": String(open), "aria-label": `Colour by ${column.name}`,
        title: column.name, onclick: () => model.send_msg({ type: "color", column: column.name }),
      }, h("span", { class: "drop" }), h("span", { class: "name" }, column.name), n ? null : h("span", { class: "kind" }, column.kind));
      // beside the name, not below it: rows must not move under the pointer that hides some
      const filter = n ? h("div", { class: "filter" }, h("span", {}, `${number(n)} hidden`),
        h("button", { type: "button", class: "link", "aria-label": `Show all of ${column.name}`, onclick: () => model.send_msg({ type: "show_all", column: column.name }) }, "Show all")) : null;
      return [h("div", { class: "column" }, row, filter), open ? legend() : null].filter(Boolean);
    }), search);
    if (!model.columns.length) list.append(h("div", { class: "empty" }, "This file's obs has no columns. Colour by a gene on the right."));
    else if (!shown.length) list.append(h("div", { class: "empty" }, "No column is called so."));
    list.scrollTop = top;
    if (model.active !== shownActive) list.querySelector('[aria-expanded="true"]')?.scrollIntoView({ block: "nearest" });
    shownActive = model.active;
    count.textContent = model.columns.length ? `${number(model.columns.length)} column${model.columns.length === 1 ? "" : "s"}` : "";
  };

  const legend = () => {
    const data = model.legend;
    if (model.message) return h("div", { class: "error", role: "alert" }, model.message);
    if (!data) return h("div", { class: "note late" }, "Reading…");
    if (data.rows) return categories(data);
    return numbers(data);
  };

  const categories = (data) => {
    const largest = Math.max(1, ...data.rows.map((row) => row.count));
    const hidden = new Set(model.hidden[model.active] ?? []);
    const light = (codes) => tell(el, "cellasso-light", { column: model.active, codes });
    // the layer has the colours: it need not wait for the server's answer
    const paint = (row, change) => tell(el, "cellasso-paint", { column: model.active, code: row.code, ...change });
    const box = h("div", { class: "legend", role: "group", "aria-label": `Legend of ${model.active}`, onpointerleave: () => light(null) }, data.rows.map((row) => {
      const color = model.colors[row.label] ?? row.color, off = hidden.has(row.label);
      const swatch = h("input", { type: "color", class: "swatch", value: color, "aria-label": `Colour of ${row.label}`, title: "Change the colour",
        disabled: !row.selectable || row.code === 255, onchange: (event) => {
          paint(row, { color: event.target.value });
          model.send_msg({ type: "recolor", label: row.label, color: event.target.value });
        } });
      return h("div", { class: off ? "item off" : "item", onpointerenter: () => light(off ? null : [row.code]) },
        swatch,
        h("button", {
          type: "button", class: "row", title: `${row.label}: select its cells`, "aria-label": `${row.label}, ${number(row.count)} cells`,
          disabled: !row.selectable || off,
          onclick: (event) => model.send_msg({ type: "category", column: model.active, label: row.label, operation: operationOf(event) }),
        },
        h("span", { class: "name" }, row.label),
        h("span", { class: "n" }, number(row.count)),
        h("span", { class: "share" }, h("span", { style: { width: `${100 * row.count / largest}%`, background: color } }))),
        h("button", { type: "button", class: "link only", "aria-label": `Only ${row.label}`, title: "Show this one alone",
          onclick: () => model.send_msg({ type: "isolate", label: row.label }) }, "only"),
        iconOf(off ? "closed" : "eye", off ? `Show ${row.label}` : `Hide ${row.label}`,
          () => {
            light(null);
            paint(row, { hidden: !off });
            model.send_msg({ type: "hide", label: row.label, hidden: !off });
          }));
    }));
    if (data.note) box.append(h("div", { class: "note" }, data.note));
    if (data.numbers) box.append(as(false, "Show as numbers"));
    return box;
  };
  const as = (value, text) => h("button", { type: "button", class: "link as", "aria-label": text,
    onclick: () => model.send_msg({ type: "as_categories", column: model.active, value }) }, text);

  const numbers = (data) => {
    const tallest = Math.max(1, ...data.histogram);
    const width = 100 / Math.max(1, data.histogram.length);
    const plot = h("svg", { viewBox: "0 0 100 40", preserveAspectRatio: "none", role: "img", "aria-label": `Histogram of ${model.active}` },
      data.histogram.map((n, i) => {
        const height = n ? Math.max(0.6, 40 * n / tallest) : 0;
        return h("rect", { x: i * width, y: 40 - height, width: width * 0.9, height, fill: "var(--muted)" });
      }));
    const box = h("div", { class: "numbers" }, plot,
      h("div", { class: "ends" }, h("span", {}, compact(data.low)), h("span", {}, compact(data.high))));
    if (data.note) box.append(h("div", { class: "note", style: { padding: "4px 0 0" } }, data.note));
    if (data.n_distinct) box.append(as(true, `Show as ${number(data.n_distinct)} categor${data.n_distinct === 1 ? "y" : "ies"}`));
    return box;
  };

  watch(model, ["columns", "active", "legend", "message", "hidden", "colors"], show);
  watch(model, ["busy"], () => bar.show(model.busy, 0));
  return h("section", { class: "part", "aria-label": "Cells" },
    h("div", { class: "head" }, h("h2", {}, "Cells"), count), h("div", { class: "search" }, search), bar, list);
}

const iconOf = (name, label, onclick) => {
  const button = iconButton(name, label, onclick);
  button.classList.add("eye");
  return button;
};
const operationOf = (event) =>
  event.shiftKey && event.altKey ? "intersect" : event.shiftKey ? "add" : event.altKey ? "subtract" : "replace";
