export function render({ model, el }) {
  const file = h("span", { class: "file", title: "Open file" });
  const fileChoice = select("File", [], "", (name) => { location.search = `?file=${encodeURIComponent(name)}`; }, { class: "quiet" });
  const modality = select("Modality", [], "", (value) => model.send_msg({ type: "modality", value }), { class: "quiet" });
  const cells = h("span", { class: "cells", role: "status", "aria-label": "Cells" });
  const undo = iconButton("undo", "Undo", () => model.send_msg({ type: "undo" }), "Ctrl+Z");
  const redo = iconButton("redo", "Redo", () => model.send_msg({ type: "redo" }), "Ctrl+Shift+Z");
  const theme = iconButton("theme", "Dark theme", () => choose(homeOf(el).dataset.theme !== "dark"), "D");
  const inspect = iconButton("inspect", "Inspect this file", () => tell(el, "cellasso-inspect"), "I");
  const panels = [panelButton(model, el, "left", "Columns panel", "["), panelButton(model, el, "right", "Genes panel", "]")];
  const help = keysDialog();
  const helpButton = iconButton("help", "Keys", () => showModal(help), "?");

  const show = (dark) => {
    theme.setAttribute("aria-pressed", String(dark));
    try { localStorage.setItem("cellasso-theme", dark ? "dark" : "light"); } catch { /* private window */ }
    model.send_msg({ type: "theme", dark });
  };
  const choose = (dark) => { setTheme(homeOf(el), dark); show(dark); };

  listen(model, el, "keydown", (event) => {
    if (typing(event)) return;
    const key = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && key === "z") {
      event.preventDefault();
      model.send_msg({ type: event.shiftKey ? "redo" : "undo" });
    } else if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    } else if (event.key === "Escape") model.send_msg({ type: "clear" });
    else if (event.key === "?") showModal(help);
    else if (key === "[") panels[0].click();
    else if (key === "]") panels[1].click();
    else if (key === "i") inspect.click();
    else if (key === "d") theme.click();
  });

  watch(model, ["files", "file"], () => {
    const several = model.files.length > 1;
    file.hidden = several;
    fileChoice.hidden = !several;
    file.textContent = model.file;
    if (several) setOptions(fileChoice, model.files, model.file);
  });
  watch(model, ["modalities", "modality"], () => {
    modality.hidden = model.modalities.length < 2;
    setOptions(modality, model.modalities, model.modality);
  });
  watch(model, ["n_obs", "n_selected"], () => {
    const total = number(model.n_obs);
    cells.replaceChildren(
      ...(model.n_selected === null ? [h("b", {}, total), " cells"] : [h("b", {}, number(model.n_selected)), ` of ${total} cells selected`]));
  });
  watch(model, ["can_undo", "can_redo"], () => {
    // not disabled: that would take the keyboard from who presses them till the end
    undo.setAttribute("aria-disabled", String(!model.can_undo));
    redo.setAttribute("aria-disabled", String(!model.can_redo));
  });
  atHome(model, el, (home) => {
    home.tabIndex = -1; // a click anywhere in the explorer gives it the keys
    show(takeStoredTheme(home));
  });

  return h("header", { class: "appbar" },
    h("h1", { class: "brand", style: { margin: 0 } }, icon("brand"), "cellasso"),
    h("span", { class: "divider" }), file, fileChoice, modality, cells,
    h("span", { class: "end" }, undo, redo, h("span", { class: "gap" }), panels, inspect, theme, helpButton), help);
}

function panelButton(model, el, side, label, key) {
  const button = iconButton(side, label, () => set(homeOf(el), homeOf(el).dataset[side] === "hidden"), key);
  button.classList.add("panel");
  const set = (home, shown) => {
    home.dataset[side] = shown ? "shown" : "hidden";
    button.setAttribute("aria-pressed", String(shown));
  };
  atHome(model, el, (home) => set(home, home.dataset[side] !== "hidden"));
  return button;
}

function keysDialog() {
  const keys = [
    ["Drag", "move the embedding, or draw with the tool that is armed"], ["Wheel", "zoom at the pointer"],
    ["P, L, B, G", "pan, lasso, box, polygon by clicks"], ["F", "fit all cells"], ["Shift + draw", "add to the selection"],
    ["Alt + draw", "subtract from it"], ["Shift + Alt + draw", "keep only what both have"], ["Esc, double click", "clear the selection"],
    ["Ctrl + Z", "undo; with Shift redo"], ["O", "how cells are drawn"], ["I", "what is in this file"], ["[, ]", "columns and genes panels"], ["D", "dark theme"], ["?", "these keys"],
  ];
  const dialog = h("dialog", { "aria-label": "Keys" }, h("h2", {}, "Keys"),
    h("dl", {}, keys.flatMap(([key, what]) => [h("dt", {}, key), h("dd", {}, what)])),
    h("button", { type: "button", class: "plain", onclick: () => dialog.close() }, "Close"));
  return dialog;
}
