export function render({ model }) {
  const part = h("section", { class: "part selection", "aria-label": "Selection", tabindex: "-1" });
  const size = h("span", { class: "size", role: "status", "aria-label": "Selected cells" });
  const key = (text) => h("kbd", {}, text);
  const teach = h("div", { class: "teach" },
    h("p", {}, "Draw a lasso or a box over the cells, or click a category on the left."),
    h("p", {}, key("Shift"), " adds, ", key("Alt"), " takes away, both keep what overlaps."));
  const column = select("Composition by", [], "", (value) => model.send_msg({ type: "composition", value }));
  const list = h("div", { class: "scroll composition", role: "list", "aria-label": "Composition" });
  const name = h("input", { type: "text", "aria-label": "File name of the export", spellcheck: "false", maxlength: 1000 });
  const format = h("select", {
    "aria-label": "Format", title: "Format",
    onchange: () => model.send_msg({ type: "format", value: format.value, name: name.value }),
  });
  const contents = h("span", { class: "contents" });
  const start = h("button", { type: "button", class: "primary", onclick: () => model.send_msg({ type: "export", name: name.value }) }, "Export subset");
  const cancel = h("button", { type: "button", class: "plain", onclick: () => model.send_msg({ type: "cancel_export" }) }, "Cancel");
  const bar = progressBar();
  const outcome = h("div", { class: "outcome", role: "status", "aria-label": "Export" });
  const invert = h("button", { type: "button", class: "link", onclick: () => model.send_msg({ type: "invert" }) }, "Invert");
  const clear = h("button", { type: "button", class: "link", onclick: () => model.send_msg({ type: "clear" }) }, "Clear");
  const field = h("label", { class: "field" }, "by", column);
  const by = h("div", { class: "by" }, field, invert, clear);

  watch(model, ["n_selected", "n_obs"], () => {
    const none = model.n_selected === null;
    size.replaceChildren(...(none ? [] : [h("b", {}, number(model.n_selected)), ` of ${number(model.n_obs)} · ${percent(model.n_selected, model.n_obs)}`]));
    for (const button of [invert, clear]) release(button, none, part);
    teach.hidden = !none;
    by.hidden = list.hidden = none;
    field.style.visibility = model.columns.length ? "" : "hidden";
  });
  watch(model, ["columns", "column"], () => setOptions(column, model.columns, model.column));
  watch(model, ["rows", "n_selected"], () => {
    list.replaceChildren(...model.rows.map((row) => h("div", { class: "item", role: "listitem", title: `${row.label}: ${number(row.n)} of its ${number(row.total)} cells` },
      h("span", { class: "swatch", style: { background: row.color } }), h("span", { class: "label" }, row.label),
      h("span", { class: "track" }, h("span", { style: { width: `${100 * row.n / Math.max(1, model.n_selected ?? 1)}%`, background: row.color } })),
      h("span", { class: "n" }, number(row.n)), h("span", { class: "part-of" }, percent(row.n, model.n_selected)))));
  });
  watch(model, ["file_name"], () => { name.value = model.file_name; });
  watch(model, ["formats", "format"], () => {
    format.replaceChildren(...model.formats.map(({ value, label }) => h("option", { value }, label)));
    format.value = model.format;
  });
  let folder = "";
  const tellContents = () => {
    contents.textContent = folder ? `${model.contents}, into ${folder.split(/[/\\]/).filter(Boolean).pop() ?? folder}` : model.contents;
    contents.title = `${model.contents}. Goes to ${folder || "the server's folder"}; the open file stays as it is.`;
  };
  watch(model, ["contents"], tellContents);
  watch(model, ["export", "n_selected"], () => {
    const state = model.export;
    const running = state.state === "running";
    start.disabled = running || !model.n_selected;
    start.hidden = running;
    cancel.hidden = !running;
    name.disabled = format.disabled = running;
    bar.show(running, state.fraction ?? 0);
    outcome.className = `outcome ${state.state}`;
    outcome.hidden = state.state === "idle";
    if (running) outcome.replaceChildren(`Writing ${number(state.n)} cells… ${Math.round(100 * (state.fraction ?? 0))}%`);
    else if (state.state === "exists") {
      outcome.replaceChildren(h("div", { class: "question" }, h("span", {}, h("b", {}, state.name), " exists already. Replace it?"),
        h("button", { type: "button", class: "plain", onclick: () => model.send_msg({ type: "replace" }) }, "Replace"),
        h("button", { type: "button", class: "link", onclick: () => model.send_msg({ type: "keep" }) }, "Cancel")));
    } else if (state.state === "failed") outcome.replaceChildren(state.message);
    else if (state.state === "done") {
      outcome.replaceChildren(h("div", { class: "question" },
        h("span", { title: state.path }, `${number(state.n)} cells written to `, h("span", { class: "path" }, state.path)), download(state)),
        ...state.left_out.map((sentence) => h("div", { class: "warning" }, `Left out: ${sentence}`)));
    } else {
      outcome.replaceChildren();
      folder = state.folder ?? folder;
      tellContents();
    }
  });

  // The file comes through the session's own connection piece by piece: no second address to guard.
  const download = (state) => {
    const button = h("button", { type: "button", class: "link", onclick: () => {
      button.disabled = true;
      pieces = [];
      loading = state.number;
      model.send_msg({ type: "download", number: loading, offset: 0 });
    } }, "Download");
    return button;
  };
  let pieces = [];
  let loading = -1;
  model.on("msg:custom", (message) => {
    if (message.type !== "piece" || message.number !== loading) return;
    pieces.push(message.bytes);
    const button = outcome.querySelector("button");
    const done = message.offset + message.bytes.byteLength;
    if (button) button.textContent = `Downloading ${Math.round(100 * done / message.size)}%`;
    if (done < message.size) return model.send_msg({ type: "download", number: loading, offset: done });
    const url = URL.createObjectURL(new Blob(pieces));
    h("a", { href: url, download: message.name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
    pieces = [];
    if (button) { button.textContent = "Download"; button.disabled = false; }
  });

  part.append(
    h("div", { class: "head" }, h("h2", {}, "Selection"), size), by, list, teach, outcome, bar,
    h("div", { class: "actions" }, name, format), h("div", { class: "actions" }, start, cancel, contents));
  return part;
}
