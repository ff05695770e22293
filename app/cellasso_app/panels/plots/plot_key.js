const short = (n) => compact(+n.toPrecision(2));
export function render({ model }) {
  const dots = h("span", { class: "dots", role: "img", "aria-label": "Area of a dot" });
  const scale = h("span", { class: "scale" });
  const low = h("span");
  const high = h("span");
  watch(model, ["largest", "low", "high", "colors"], () => {
    dots.replaceChildren(...[0.25, 0.5, 1].flatMap((fraction) => {
      const size = model.largest * Math.sqrt(fraction);
      const middle = fraction === 0.5 ? "middle" : "";
      return [h("span", { class: `dot ${middle}`, style: { width: `${size}px`, height: `${size}px` } }), h("span", { class: middle }, `${100 * fraction}%`)];
    }));
    scale.style.background = `linear-gradient(to right, ${model.colors.join(", ")})`;
    low.textContent = short(model.low);
    high.textContent = short(model.high);
  });
  const above = h("span", { class: "of" });
  watch(model, ["largest", "cutoff"], () => {
    above.hidden = dots.hidden = !model.largest;
    above.textContent = `above ${short(model.cutoff)}`;
    dots.setAttribute("aria-label", `Area of a dot: fraction of cells above ${short(model.cutoff)}`);
  });
  return h("div", { class: "key" },
    above, dots, h("span", { class: "of", style: { marginLeft: "auto" } }, "mean"), low, scale, high);
}
