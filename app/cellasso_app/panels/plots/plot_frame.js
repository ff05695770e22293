// A plot that is drawn anew each time: a document of Bokeh's of its own, which goes when the next one comes.
export function render({ model, el }) {
  const place = h("div", { class: "plotframe", role: "group" });
  watch(model, ["label"], () => place.setAttribute("aria-label", model.label));
  let document = null, newest = 0, figures = [], filled = false;
  const anyDocument = () => window.Bokeh.documents[0]; // of whose class a further one is made: Bokeh does not export it
  const clear = () => {
    const all = window.Bokeh?.documents ?? [];
    if (document) {
      document.views_manager?.clear();
      document.clear();
      if (all.includes(document)) all.splice(all.indexOf(document), 1);
    }
    document = null;
    figures = [];
    place.replaceChildren();
    delete place.dataset.drawn;
  };
  const show = async ({ json }) => {
    const number = ++newest, fresh = h("div", { class: "plots" });
    const next = anyDocument().constructor.from_json(JSON.parse(json).doc);
    clear();
    document = next;
    place.append(fresh);
    const views = await window.Bokeh.embed.add_document_standalone(next, fresh);
    if (number !== newest) return;
    const [{ model: root }] = views.roots;
    figures = [...root.references()].filter((each) => each.type === "Figure").map((figure) => ({ figure, most: figure.max_height }));
    for (const { figure } of figures) figure.on_event("tap", tellTap);
    fit();
    place.dataset.drawn = String(number);
  };
  const fit = () => { for (const { figure, most } of figures) figure.max_height = filled ? null : most; };
  const tellTap = ({ x, y, modifiers }) => {
    if (Number.isFinite(x) && Number.isFinite(y)) model.send_msg({ type: "pick", x, y, add: modifiers?.shift ?? false });
  };
  listen(model, el, "cellasso-fill", (event) => { filled = event.detail; fit(); });
  model.on("msg:custom", (message) => {
    if (message.type === "plot") show(message);
    else if (message.type === "no_plot") { newest++; clear(); }
  });
  return place;
}
