const MOST = 20000; // characters that the server takes

export function render({ model }) {
  const list = h("div", { class: "scroll", role: "group", "aria-label": "Chosen genes" });
  const suggestions = h("ul", { class: "suggestions", role: "listbox", id: "suggestions", "aria-label": "Suggestions", hidden: true });
  const input = h("input", {
    type: "text", role: "combobox", "aria-label": "Find a gene", "aria-expanded": "false", "aria-controls": "suggestions",
    "aria-autocomplete": "list", autocomplete: "off", spellcheck: "false", placeholder: "Find a gene, or paste a list",
  });
  const matrix = select("Matrix", [], "", (value) => model.send_msg({ type: "matrix", value }));
  const scale = h("select", {
    "aria-label": "Values", title: "How counts are shown; the file keeps its own",
    onchange: () => model.send_msg({ type: "scale", value: scale.value }),
  }, h("option", { value: "log" }, "log1p of counts per 10,000"), h("option", { value: "counts" }, "raw counts"));
  const values = h("label", { class: "field values" }, "values", scale);
  const count = h("span", { class: "count" });
  let names = [];
  let at = -1;
  let asked = 0;
  let repeated = 0;

  const countFeatures = () => {
    count.textContent = `${number(model.n_features)} features${repeated ? ` · ${number(repeated)} repeat a name` : ""}`;
  };

  const close = () => {
    suggestions.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    at = -1;
  };
  const choose = (name) => {
    if (name.length > MOST) return complain(`A list of genes has at most ${number(MOST)} characters; this one has ${number(name.length)}.`);
    model.send_msg({ type: "add", gene: name });
    input.value = "";
    close();
  };
  const mark = (position) => {
    at = position;
    suggestions.querySelectorAll("[role=option]").forEach((item, i) => {
      item.setAttribute("aria-selected", String(i === at));
      if (i === at) {
        item.scrollIntoView({ block: "nearest" });
        input.setAttribute("aria-activedescendant", item.id);
      }
    });
  };
  const ask = () => {
    if (!input.value.trim() || input.value.length > 200) return close(); // a list; no name is so long
    asked += 1;
    model.send_msg({ type: "search", text: input.value, number: asked });
  };
  model.on("msg:custom", (message) => {
    if (message.type !== "suggestions" || message.number !== asked || !input.value.trim()) return;
    names = message.found.map((found) => found.name);
    repeated = message.n_duplicates;
    countFeatures();
    suggestions.replaceChildren(...message.found.map(({ name, label, detail }, i) =>
      h("li", {
        role: "option", id: `suggestion-${i}`, "aria-selected": "false", "aria-label": label, title: detail ? `${label} · ${detail}` : label,
        onpointerdown: (event) => { event.preventDefault(); choose(name); },
      }, label, detail ? h("span", { class: "detail" }, detail) : null)));
    if (!names.length) suggestions.append(h("li", { class: "none" }, "No gene is called so."));
    const box = input.getBoundingClientRect();
    Object.assign(suggestions.style, { left: `${box.left}px`, top: `${box.bottom + 4}px`, width: `${box.width}px` });
    suggestions.hidden = false;
    input.setAttribute("aria-expanded", "true");
    mark(names.length ? 0 : -1);
  });
  input.addEventListener("input", ask);
  // a list of genes: an input's own text has no lines, they would run into one another
  input.addEventListener("paste", (event) => {
    const text = event.clipboardData.getData("text").trim();
    if (!/[\s,;|]/.test(text) || input.value.trim()) return;
    event.preventDefault();
    choose(text);
  });
  input.addEventListener("focus", ask);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (names.length) mark((at + (event.key === "ArrowDown" ? 1 : names.length - 1)) % names.length);
    } else if (event.key === "Enter") {
      if (!suggestions.hidden && at >= 0 && !/[,;|]/.test(input.value)) choose(names[at]);
      else if (input.value.trim()) choose(input.value.trim());
    } else if (event.key === "Escape") { close(); input.blur(); }
  });

  const complain = (sentence) => {
    list.querySelector(".error")?.remove();
    list.prepend(h("div", { class: "error", role: "alert" }, sentence));
  };
  const show = () => {
    const rows = model.genes.map(({ name, label }) => h("div", { class: "gene" },
      h("button", {
        type: "button", class: "row", "aria-pressed": String(name === model.active), "aria-label": `Colour by ${label}`, title: name,
        onclick: () => model.send_msg({ type: "color", gene: name }),
      }, h("span", { class: "drop" }), h("span", { class: "name" }, label)),
      iconButton("close", `Remove ${label}`, () => model.send_msg({ type: "remove", gene: name }))));
    rebuild(list, rows, input);
    rows[model.genes.findIndex(({ name }) => name === model.active)]?.scrollIntoView({ block: "nearest" });
    if (model.message) complain(model.message);
    if (!rows.length && !model.message) {
      list.append(h("div", { class: "empty" }, model.matrices.length
        ? "Type a gene's name and press Enter: it colours the cells and joins the dotplot."
        : "This modality has no matrix, so there are no genes to show."));
    }
  };
  watch(model, ["genes", "active", "message", "matrices"], show);
  watch(model, ["matrices", "matrix"], () => {
    matrix.hidden = !model.matrices.length;
    input.disabled = !model.matrices.length;
    setOptions(matrix, model.matrices, model.matrix);
  });
  watch(model, ["scale"], () => {
    values.hidden = !model.scale;
    if (model.scale) scale.value = model.scale;
  });
  watch(model, ["n_features"], () => { repeated = 0; countFeatures(); });
  return h("section", { class: "part own genes", "aria-label": "Genes" },
    h("div", { class: "head" }, h("h2", {}, "Genes"), count), h("div", { class: "combo" }, input, matrix, suggestions), values, list);
}
