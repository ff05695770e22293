export function render({ model }) {
  const dots = h("span", { class: "dots", role: "img", "aria-label": "Area of a dot: fraction of cells above 0" });
  const scale = h("span", { class: "scale" });
  const low = h("span");
  const high = h("span");
  watch(model, ["largest", "low", "high", "colors"], () => {
    dots.replaceChildren(...[0.25, 0.5, 1].flatMap((fraction) => {
      const size = model.largest * Math.sqrt(fraction);
      return [h("span", { class: "dot", style: { width: `${size}px`, height: `${size}px` } }), h("span", {}, `${100 * fraction}%`)];
    }));
    scale.style.background = `linear-gradient(to right, ${model.colors.join(", ")})`;
    low.textContent = compact(model.low);
    high.textContent = compact(model.high);
  });
  return h("div", { class: "key" },
    h("span", { class: "of" }, "above 0"), dots, h("span", { class: "of", style: { marginLeft: "auto" } }, "mean"), low, scale, high);
}
