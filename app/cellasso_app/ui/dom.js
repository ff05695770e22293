// Building DOM from text: strings become text nodes and attributes, never HTML.
const h = (tag, attributes = {}, ...children) => {
  const svg = ["svg", "path", "rect", "circle", "line"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(node.style, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
};
const number = (n) => n.toLocaleString("en-US");
const compact = (n) => (n === 0 ? "0" : Math.abs(n) >= 1e5 || Math.abs(n) < 1e-3 ? n.toExponential(1) : String(+n.toPrecision(3)));
const percent = (part, whole) => (whole ? (100 * part / whole).toFixed(100 * part / whole < 9.95 ? 1 : 0) + "%" : "–");

const ICONS = {
  pan: "M8 2v12M2 8h12M8 2 6.3 3.8M8 2l1.7 1.8M8 14l-1.7-1.8M8 14l1.7-1.8M2 8l1.8-1.7M2 8l1.8 1.7M14 8l-1.8-1.7M14 8l-1.8 1.7",
  lasso: "M8 3c3.3 0 6 1.6 6 3.7s-2.7 3.8-6 3.8-6-1.7-6-3.8S4.7 3 8 3M5 10.2c-1 .6-1 2.2.2 2.5 1 .2 1.7.5 1.3 1.8",
  box: "M3 3h2M7 3h2M11 3h2v2M13 7v2M13 11v2h-2M9 13H7M5 13H3v-2M3 9V7M3 5V3",
  polygon: "M3 12.5 5 4l6.5-1.5 2 7.5zM3 12.5l10.5-2.5",
  options: "M2.5 4.5h6M12 4.5h1.5M10.2 2.8v3.4M2.5 11.5H4M7.5 11.5h6M5.8 9.8v3.4",
  eye: "M1.5 8S4 3.8 8 3.8 14.5 8 14.5 8 12 12.2 8 12.2 1.5 8 1.5 8M8 6.2a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6",
  closed: "M2 6.5S4.2 10 8 10s6-3.5 6-3.5M4 9l-1 1.8M8 10v2M12 9l1 1.8",
  whole: "M9.5 2.5h4v4M13.5 2.5 9.2 6.8M6.5 13.5h-4v-4M2.5 13.5l4.3-4.3",
  save: "M8 2v8M4.8 7 8 10.2 11.2 7M2.5 11v2.5h11V11",
  pair: "M2.5 2v11.5H14M5.5 10.5v.01M7.5 7.5v.01M10 8.5v.01M9 5v.01M12 4v.01M12 7v.01",
  add: "M2.5 3h11v10h-11zM8 3v10",
  plus: "M8 3.5v9M3.5 8h9",
  minus: "M3.5 8h9",
  fit: "M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10",
  undo: "M5.5 3 2.5 6l3 3M2.5 6h7a4 4 0 0 1 0 8H7",
  redo: "M10.5 3l3 3-3 3M13.5 6h-7a4 4 0 0 0 0 8H9",
  theme: "M8 2a6 6 0 1 0 0 12ZM8 2a6 6 0 0 1 0 12",
  inspect: "M3 2.5h10M3 2.5v9.5M3 6h3M3 9.5h3M3 12.5h3M8 6h5M8 9.5h5M8 12.5h5",
  left: "M2.5 3h11v10h-11zM6 3v10",
  right: "M2.5 3h11v10h-11zM10 3v10",
  help: "M6 6a2 2 0 1 1 2.7 1.9c-.5.2-.7.6-.7 1.1v.5M8 12v.01M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13",
  close: "m4.5 4.5 7 7M11.5 4.5l-7 7",
  chevron: "m6 4 4 4-4 4",
  brand: "M8 2.5c3.6 0 6.5 1.9 6.5 4.3S11.6 11 8 11s-6.5-1.8-6.5-4.2S4.4 2.5 8 2.5M5 10.6c-1.2.8-1 2.5.3 2.7M6 6.5v.01M9.5 5.5v.01M10 8v.01",
};
const icon = (name) => h("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, h("path", { d: ICONS[name] }));
const iconButton = (name, label, onclick, keys = "") =>
  h("button", { type: "button", class: "icon", "aria-label": label, title: keys ? `${label} (${keys})` : label, onclick }, icon(name));
const select = (label, options, value, onchange, attributes = {}) =>
  h("select", { "aria-label": label, title: label, onchange: (event) => onchange(event.target.value), ...attributes },
    options.map((option) => h("option", { value: option, selected: option === value }, option || "whole file")));
const setOptions = (node, options, value) => {
  node.replaceChildren(...options.map((option) => h("option", { value: option, selected: option === value }, option || "whole file")));
  node.value = value;
};
// Lists are built anew when they change; the keyboard stays where it was: at the control of the same name, else
// at the one in its place, else at `otherwise`.
const focusable = (node) => [...node.querySelectorAll("button:not(:disabled), input, select, [tabindex]")];
const rebuild = (node, children, otherwise = null) => {
  const focused = node.getRootNode().activeElement;
  const held = focused && node.contains(focused);
  const at = held ? focusable(node).indexOf(focused) : -1;
  const name = held ? focused.getAttribute("aria-label") : null;
  node.replaceChildren(...children);
  if (!held) return;
  const now = focusable(node);
  (now.find((control) => name && control.getAttribute("aria-label") === name) ?? now[Math.min(at, now.length - 1)] ?? otherwise)
    ?.focus({ preventScroll: true });
};
// Hiding or disabling what has the keyboard sends it to the page's start; hand it to `next` before.
const release = (control, gone, next) => {
  const focused = control.getRootNode().activeElement;
  if (gone && focused && (focused === control || control.contains(focused))) next.focus({ preventScroll: true });
};
// The explorer's outermost element, through all shadow roots; the page may hold other things, another explorer too.
const homeOf = (node) => {
  for (let at = node; at; at = at.parentNode ?? at.host) if (at.classList?.contains("cellasso")) return at;
  return null;
};
const atHome = (model, el, then) => {
  let gone = false;
  model.on("remove", () => { gone = true; });
  const look = () => {
    const home = homeOf(el);
    if (home) then(home);
    else if (!gone) setTimeout(look, 10); // not on the page yet
  };
  look();
};
// Listens in the explorer for as long as the component is on it.
const listen = (model, el, type, handler, options) => atHome(model, el, (home) => {
  home.addEventListener(type, handler, options);
  model.on("remove", () => home.removeEventListener(type, handler, options));
});
const tell = (el, type, detail) => homeOf(el)?.dispatchEvent(new CustomEvent(type, { detail }));
const watch = (model, names, update) => {
  for (const name of names) model.on(name, update);
  update();
};
const progressBar = () => {
  const span = h("span");
  const bar = h("div", { class: "bar", role: "progressbar", "aria-label": "Working", hidden: true }, span);
  bar.show = (active, fraction) => {
    bar.hidden = false;
    bar.style.visibility = active ? "visible" : "hidden";
    bar.setAttribute("aria-hidden", String(!active));
    bar.classList.toggle("working", active);
    bar.classList.toggle("unknown", active && !fraction);
    span.style.width = `${100 * fraction}%`;
  };
  return bar;
};
// While a dialog is open the explorer behind it takes no keys, wherever in the dialog the focus is.
const showModal = (dialog) => {
  if (dialog.open) return;
  const home = homeOf(dialog);
  home.toggleAttribute("data-modal", true);
  dialog.addEventListener("close", () => home.toggleAttribute("data-modal", false), { once: true });
  dialog.showModal();
};
const typing = (event) => {
  const target = event.composedPath()[0];
  if (event.currentTarget.hasAttribute("data-modal")) return true;
  return target instanceof HTMLElement && (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName));
};
// The served page around the explorer follows its theme.
const setTheme = (home, dark) => {
  home.dataset.theme = dark ? "dark" : "light";
  home.dispatchEvent(new CustomEvent("cellasso-theme", { detail: home.dataset.theme, bubbles: true, composed: true }));
};
// Pages without an app bar look as the last one with it did.
const takeStoredTheme = (home) => {
  let stored = null;
  try { stored = localStorage.getItem("cellasso-theme"); } catch { /* private window */ }
  const dark = stored ? stored === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  setTheme(home, dark);
  return dark;
};
// Lines of such a panel: a tick, and a choice of `{value, label}`, whose values may be anything.
const tick = (label, checked, onchange) => {
  const node = h("input", { type: "checkbox", "aria-label": label, checked, onchange: () => onchange(node.checked) });
  return h("label", { class: "tick" }, node, h("span", {}, label));
};
const pick = (label, choices, value, onchange) => {
  const node = h("select", { "aria-label": label, onchange: () => onchange(choices[node.selectedIndex].value) },
    choices.map((choice) => h("option", { selected: choice.value === value }, choice.label)));
  return h("label", { class: "option" }, h("span", {}, label), node);
};
// A panel that opens below its button and closes with the next click elsewhere.
function popover(name, label, keys = "") {
  const panel = h("div", { class: "options", popover: "auto", role: "group", "aria-label": label });
  const button = iconButton(name, label, () => panel.togglePopover(), keys);
  panel.addEventListener("toggle", (event) => {
    button.setAttribute("aria-expanded", String(event.newState === "open"));
    if (event.newState !== "open") return;
    const edge = button.getBoundingClientRect(), below = window.innerHeight - edge.bottom - 12;
    const up = panel.scrollHeight > below && edge.top > below; // there is more room above
    panel.style.maxHeight = `${up ? edge.top - 12 : below}px`;
    Object.assign(panel.style, { top: `${up ? edge.top - 4 - panel.offsetHeight : edge.bottom + 4}px`, left: `${Math.max(8, edge.right - panel.offsetWidth)}px` });
  });
  return { panel, button };
}
const download = (name, bytes) => {
  const url = URL.createObjectURL(new Blob([bytes]));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
};
