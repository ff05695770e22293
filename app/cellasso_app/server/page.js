// What the served page has beside the explorer: keys wherever they are pressed, its theme, and the tab's title.
export function render({ model }) {
  const forward = (event) => {
    const path = event.composedPath();
    if (path.some((node) => node.classList?.contains("cellasso"))) return; // it has heard it itself
    const home = findHome(document);
    if (home && !home.dispatchEvent(new KeyboardEvent(event.type, event))) event.preventDefault();
  };
  const follow = (event) => { document.documentElement.dataset.theme = event.detail; };
  for (const [type, handler] of [["keydown", forward], ["cellasso-theme", follow]]) {
    document.addEventListener(type, handler);
    model.on("remove", () => document.removeEventListener(type, handler));
  }
  watch(model, ["title"], () => { if (model.title) document.title = model.title; });
  return h("span", { hidden: true });
}

const findHome = (root) => {
  for (const node of root.querySelectorAll("*")) {
    if (node.classList.contains("cellasso")) return node;
    const found = node.shadowRoot && findHome(node.shadowRoot);
    if (found) return found;
  }
  return null;
};
