// The cells on the page: a canvas under Bokeh's figure, which has the ranges, the axes and the tools. What the server
// drew moves with the ranges at once, and is replaced when the next picture comes. Few cells come as they are and are
// drawn here as dots at every zoom. Colours are a table: hiding or recolouring needs no new picture.
export function render({ model, el }) {
  const canvas = h("canvas", { class: "cells", "aria-hidden": "true" });
  const mark = h("div", { class: "mark", hidden: true });
  const tip = h("div", { class: "tip", role: "tooltip", "aria-label": "Cell", hidden: true });
  const bar = h("div", { class: "colorbar", role: "img", hidden: true });
  const root = h("div", { class: "layer" }, canvas, bar, mark, tip);
  const ink = canvas.getContext("2d");
  const image = document.createElement("canvas");
  const table = new Uint32Array(256); // RGBA as a canvas' memory has it, lowest byte first
  let figure = null;
  let view = null;
  let shown = null; // the picture or the dots
  let ground = null; // lines that lie under them
  let tissue = null; // and the picture of a tissue, whole, at the bottom
  let labels = [];
  let newest = 0;
  let lit = null; // codes that a pointer on the legend brings out

  // -- where data are on the canvas --------------------------------------------------------------------

  const ends = () => ({ x0: figure.x_range.start, x1: figure.x_range.end, y0: figure.y_range.start, y1: figure.y_range.end });
  const frame = () => view.frame.bbox;
  const place = (x, y, at = ends(), box = frame()) => [
    box.left + (x - at.x0) / (at.x1 - at.x0) * box.width, box.top + (at.y1 - y) / (at.y1 - at.y0) * box.height];

  const attach = () => {
    for (const doc of window.Bokeh?.documents ?? []) figure = doc.get_model_by_name(model.figure) ?? figure;
    view = figure && window.Bokeh.index.find_one(figure);
    if (!view?.frame) return setTimeout(attach, 30);
    for (const range of [figure.x_range, figure.y_range]) range.change.connect(() => { leave(); paint(); move(); });
    new ResizeObserver(() => { resize(); }).observe(root);
    new ResizeObserver(lay_out).observe(view.el);
    view.el.addEventListener("pointermove", point);
    view.el.addEventListener("pointerleave", leave);
    view.el.addEventListener("pointerdown", () => { leave(); model.send_msg({ type: "touched" }); }, { capture: true });
    view.el.addEventListener("dblclick", close);
    if (!figure.told) { // by the tools; the server itself hears nothing of them
      figure.on_event("selectiongeometry", (event) => { if (event.final) figure.told(event.geometry); });
      figure.document.event_manager.subscribed_models.add(figure);
    }
    // Bokeh takes a pointer that rests 300 ms before it moves for a long press, which would draw and select nothing
    const gestures = view.canvas_view?.ui_event_bus?.ui_gestures;
    if (gestures) gestures._start_timeout = () => {};
    figure.told = ({ type, x, y, sx, sy, x0, x1, y0, y1 }) =>
      type === "rect" ? tellStroke([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]) : tellStroke(thin(sx, sy).map((i) => [x[i], y[i]]));
    resize();
    model.send_msg({ type: "ready", pixel_ratio: ratio() });
  };
  // Bokeh 3.10 does so when the window has another size, but not when only the room of the figure has
  const lay_out = () => {
    const { width, height } = view.layout?.bbox ?? {};
    if (Math.abs(view.el.clientWidth - width) >= 1 || Math.abs(view.el.clientHeight - height) >= 1) view.compute_layout();
  };
  // a double click ends a polygon by clicks (Bokeh itself knows Enter), or clears the selection
  const close = () => {
    const tool = window.Bokeh.documents.map((doc) => doc.get_model_by_name(`${model.figure}-tool-polygon`)).find((found) => found);
    if (!tool?.active) return model.send_msg({ type: "clear" });
    const { xs, ys } = tool.overlay;
    const polygon = Array.from(xs, (x, i) => [x, ys[i]]);
    tool.active = false;
    tool.active = true; // begins anew
    tellStroke(polygon);
  };
  const tellStroke = (polygon) => {
    if (polygon.length > MOST) model.send_msg({ type: "too_long", corners: polygon.length });
    else if (polygon.length > 2) model.send_msg({ type: "polygon", polygon });
  };
  const ratio = () => window.devicePixelRatio || 1;
  const resize = () => {
    const { clientWidth: width, clientHeight: height } = root;
    canvas.width = Math.round(width * ratio());
    canvas.height = Math.round(height * ratio());
    paint();
  };

  // -- drawing -------------------------------------------------------------------------------------------

  let asked = false;
  const paint = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; draw(); });
  };
  const draw = () => {
    if (!view?.frame) return;
    ink.setTransform(1, 0, 0, 1, 0, 0);
    ink.clearRect(0, 0, canvas.width, canvas.height);
    if (!shown) return;
    const scale = ratio(), at = ends(), box = frame();
    ink.save();
    ink.scale(scale, scale);
    ink.beginPath();
    ink.rect(box.left, box.top, box.width, box.height);
    ink.clip();
    if (tissue) lay(tissue.image, tissue, at, box, scale);
    if (ground) lay(ground.image, ground, at, box, scale);
    if (shown.kind === "picture") lay(image, shown, at, box, scale);
    else dots(shown, at, box, scale);
    name(at, box);
    ink.restore();
    canvas.dataset.drawn = String(shown.number);
  };

  // a picture whose first row is at the bottom, where its part of the plane lies now
  const lay = (image, { viewport: [x0, x1, y0, y1], width }, at, box, scale) => {
    const [left, low] = place(x0, y0, at, box), [right, high] = place(x1, y1, at, box);
    const exact = Math.abs((right - left) * scale - width) < 1.5;
    const down = high > low ? -1 : 1; // in a tissue y runs down
    ink.imageSmoothingEnabled = !exact;
    ink.imageSmoothingQuality = "medium"; // where it is drawn smaller, the mean of what a pixel covers
    ink.save();
    ink.scale(1, down);
    ink.drawImage(image, left, down * high, right - left, Math.abs(high - low));
    ink.restore();
  };

  // The server is told where the view is, once more when it has answered: what it draws meanwhile would be old.
  let unanswered = false, again = false, told = 0, last = "";
  const setView = ({ view: [x0, x1, y0, y1], number }) => {
    told = number;
    figure.x_range.setv({ start: x0, end: x1 });
    figure.y_range.setv({ start: y0, end: y1 });
  };
  const move = () => {
    again = unanswered;
    if (unanswered) return;
    unanswered = true;
    queueMicrotask(() => { // when all four ends have changed
      const { x0, x1, y0, y1 } = ends();
      const before = last;
      last = [x0, x1, y0, y1, told].join();
      again = false;
      unanswered = last !== before; // the server would not answer what it knows
      if (!unanswered) return;
      model.send_msg({ type: "moved", view: [x0, x1, y0, y1], number: told });
      clearTimeout(patience);
      patience = setTimeout(answered, 400); // nothing had to be drawn, or it takes long
    });
  };
  let patience = 0;
  const answered = () => {
    unanswered = false;
    if (again) move();
  };

  // a picture: colour codes and opacity by pixel, its first row at the bottom
  const color = () => {
    const { width, height, codes, alpha, mixture } = shown;
    if (image.width !== width || image.height !== height) { image.width = width; image.height = height; }
    const pen = image.getContext("2d");
    const data = pen.createImageData(width, height);
    const out = new Uint32Array(data.data.buffer);
    const colors = seen();
    for (let row = 0, from = 0; row < height; row++) {
      let to = (height - 1 - row) * width;
      for (let column = 0; column < width; column++, from++, to++) {
        const opacity = alpha[from];
        if (opacity === 0) continue;
        if (mixture) out[to] = (opacity << 24) | (mixture[3 * from + 2] << 16) | (mixture[3 * from + 1] << 8) | mixture[3 * from];
        else {
          const entry = colors[codes[from]];
          out[to] = ((opacity * (entry >>> 24) / 255) << 24) | (entry & 0xffffff);
        }
      }
    }
    pen.putImageData(data, 0, 0);
  };
  const seen = () => {
    const colors = new Uint32Array(table);
    if (lit) for (let code = 0; code < 256; code++) if (!lit.has(code)) colors[code] = (((colors[code] >>> 24) * 0.12) << 24) | (colors[code] & 0xffffff);
    return colors;
  };

  // dots: discs with smooth edges at places between pixels, one coverage mask for each sixteenth of a pixel
  const PLACES = 4;
  const discs = (radius) => {
    const reach = Math.ceil(radius + 1), side = 2 * reach + 1, masks = [];
    for (let v = 0; v < PLACES; v++) for (let u = 0; u < PLACES; u++) {
      const mask = new Uint8Array(side * side);
      for (let y = 0; y < side; y++) for (let x = 0; x < side; x++) {
        const distance = Math.hypot(x - reach - (u + 0.5) / PLACES + 0.5, y - reach - (v + 0.5) / PLACES + 0.5);
        mask[y * side + x] = Math.round(255 * Math.min(1, Math.max(0, radius + 0.5 - distance)));
      }
      masks.push(mask);
    }
    return { reach, side, masks };
  };
  const dots = ({ points, codes, faded, radius }, at, box, scale) => {
    const width = Math.round(box.width * scale), height = Math.round(box.height * scale);
    if (!width || !height) return;
    const data = ink.createImageData(width, height), out = data.data, words = new Uint32Array(out.buffer);
    const colors = seen(), { reach, side, masks } = discs(radius * scale);
    const kx = width / (at.x1 - at.x0), ky = height / (at.y1 - at.y0);
    for (let i = 0; i < codes.length; i++) {
      const entry = colors[codes[i]];
      let strength = entry >>> 24;
      if (faded && faded[i]) strength *= 0.15;
      if (!strength) continue;
      const px = (points[2 * i] - at.x0) * kx, py = (at.y1 - points[2 * i + 1]) * ky;
      const column = Math.floor(px), row = Math.floor(py);
      if (column < -reach || row < -reach || column >= width + reach || row >= height + reach) continue;
      const mask = masks[Math.floor((py - row) * PLACES) * PLACES + Math.floor((px - column) * PLACES)];
      const r = entry & 255, g = (entry >> 8) & 255, b = (entry >> 16) & 255;
      for (let y = Math.max(0, row - reach); y <= Math.min(height - 1, row + reach); y++) {
        for (let x = Math.max(0, column - reach); x <= Math.min(width - 1, column + reach); x++) {
          const cover = mask[(y - row + reach) * side + x - column + reach];
          if (!cover) continue;
          const to = y * width + x, a = cover * strength / 255;
          if (a >= 254.5) { words[to] = (255 << 24) | (entry & 0xffffff); continue; }
          const p = 4 * to, under = out[p + 3] * (255 - a) / 255, sum = a + under;
          out[p] = (r * a + out[p] * under) / sum;
          out[p + 1] = (g * a + out[p + 1] * under) / sum;
          out[p + 2] = (b * a + out[p + 2] * under) / sum;
          out[p + 3] = sum;
        }
      }
    }
    image.width = width;
    image.height = height;
    image.getContext("2d").putImageData(data, 0, 0);
    ink.imageSmoothingEnabled = false;
    ink.drawImage(image, box.left, box.top, width / scale, height / scale);
  };

  const name = (at, box) => {
    const style = getComputedStyle(root);
    ink.font = `600 12px ${style.getPropertyValue("--ui")}`;
    ink.textAlign = "center";
    ink.textBaseline = "middle";
    ink.lineJoin = "round";
    ink.lineWidth = 3;
    ink.strokeStyle = style.getPropertyValue("--ground");
    ink.fillStyle = style.getPropertyValue("--text");
    for (const label of labels) {
      if (!(table[label.code] >>> 24)) continue; // hidden since the picture was drawn
      const [x, y] = place(label.x, label.y, at, box);
      ink.globalAlpha = 0.85;
      ink.strokeText(label.text, x, y);
      ink.globalAlpha = 1;
      ink.fillText(label.text, x, y);
    }
  };

  // -- what the server sends -------------------------------------------------------------------------------

  // past Blob and Response, whose pipes take longer than the inflating itself
  const inflate = async (bytes) => {
    const stream = new DecompressionStream("deflate"), writer = stream.writable.getWriter(), parts = [];
    writer.write(bytes);
    writer.close();
    for (let reader = stream.readable.getReader(), next; !(next = await reader.read()).done;) parts.push(next.value);
    const all = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
    parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
    return all;
  };

  const show = async (message) => {
    newest = Math.max(newest, message.number);
    const bytes = await inflate(message.bytes);
    if (message.number !== newest) return; // a newer one came meanwhile
    clearTimeout(patience);
    answered();
    shown = { ...message, kind: message.type };
    if (message.type === "picture") {
      const n = message.width * message.height;
      Object.assign(shown, { alpha: bytes.subarray(0, n), [message.mixed ? "mixture" : "codes"]: bytes.subarray(n) });
    } else {
      const n = message.n;
      Object.assign(shown, {
        points: new Float32Array(bytes.buffer, 0, 2 * n), codes: bytes.subarray(8 * n, 9 * n),
        faded: message.some ? bytes.subarray(9 * n) : null });
    }
    labels = message.labels;
    if (message.colors) setColors(message.colors, message.hidden);
    if (shown.kind === "picture") color();
    paint();
  };
  // lines of one colour under the cells, as opacity by pixel
  let grounds = 0;
  const lay_ground = async (message) => {
    const number = ++grounds, alpha = await inflate(message.bytes);
    if (number !== grounds) return;
    const { width, height, color: [red, green, blue] } = message;
    const below = Object.assign(document.createElement("canvas"), { width, height });
    const data = new ImageData(width, height), out = new Uint32Array(data.data.buffer), line = (blue << 16) | (green << 8) | red;
    for (let row = 0, from = 0; row < height; row++) {
      for (let to = (height - 1 - row) * width, end = to + width; to < end; to++) out[to] = (alpha[from++] << 24) | line;
    }
    below.getContext("2d").putImageData(data, 0, 0);
    ground = { ...message, image: below };
    canvas.dataset.ground = String(number);
    paint();
  };
  let tissues = 0;
  const lay_tissue = async ({ extent: [width, height], mime, bytes }) => {
    const number = ++tissues, image = await createImageBitmap(new Blob([bytes], { type: mime }));
    if (number !== tissues) return;
    tissue = { viewport: [0, width, height, 0], width: image.width, image }; // its first row is at y = 0
    canvas.dataset.tissue = String(number);
    paint();
  };
  watch(model, ["scale"], () => {
    const { title, colors, ticks } = model.scale;
    bar.hidden = !colors;
    if (!colors) return;
    bar.setAttribute("aria-label", `Colours from ${ticks[0]?.[1]} to ${ticks[ticks.length - 1]?.[1]}`);
    bar.replaceChildren(h("b", { title }, title), h("div", { class: "ramp", style: { background: `linear-gradient(to top, ${colors.join(", ")})` } }),
      ...ticks.map(([at, text]) => h("span", { style: { bottom: `${100 * at}%` } }, text)));
  });
  let before = "";
  const setColors = (colors, hidden) => {
    if (colors.join() !== before) leave(); // what is told of a cell names its colour
    before = colors.join();
    colors.forEach((text, code) => { table[code] = opaque(text); });
    for (const code of hidden) table[code] &= 0xffffff;
  };
  const opaque = (text) => {
    const value = parseInt(text.slice(1), 16);
    return (255 << 24) | ((value & 255) << 16) | (value & 0xff00) | (value >> 16);
  };
  const recolor = () => {
    if (shown?.kind === "picture") color();
    paint();
  };
  model.on("msg:custom", (message) => {
    if (message.type === "picture" || message.type === "dots") show(message);
    else if (message.type === "colors") { setColors(message.colors, message.hidden); recolor(); }
    else if (message.type === "clear") { newest = message.number; shown = null; labels = []; leave(); paint(); }
    else if (message.type === "view") setView(message);
    else if (message.type === "tip") describe(message);
    else if (message.type === "ground") lay_ground(message);
    else if (message.type === "no_ground") { grounds++; ground = null; delete canvas.dataset.ground; paint(); }
    else if (message.type === "tissue") lay_tissue(message);
    else if (message.type === "no_tissue") { tissues++; tissue = null; delete canvas.dataset.tissue; paint(); }
    else if (message.type === "file") download(message.name, message.bytes);
  });
  listen(model, el, "cellasso-paint", (event) => {
    const { column, code, color: text, hidden } = event.detail;
    if (column !== model.column) return;
    if (text) table[code] = (table[code] & 0xff000000) | (opaque(text) & 0xffffff);
    if (hidden !== undefined) table[code] = hidden ? table[code] & 0xffffff : table[code] | 0xff000000;
    recolor();
  });
  listen(model, el, "cellasso-light", (event) => {
    const { column, codes } = event.detail;
    const next = codes && column === model.column ? new Set(codes) : null;
    if (!next && !lit) return;
    lit = next;
    recolor();
  });
  watch(model, ["column"], () => { // the pointer does not leave a legend that is taken away
    if (!lit) return;
    lit = null;
    recolor();
  });

  // -- the cell under the pointer: one question at a time, the newest place next ---------------------------

  let waiting = false, wanted = null, questions = 0;
  const point = (event) => {
    if (event.buttons || !shown) return;
    const box = frame(), at = ends(), edge = root.getBoundingClientRect();
    const sx = event.clientX - edge.left - box.left, sy = event.clientY - edge.top - box.top;
    if (sx < 0 || sy < 0 || sx > box.width || sy > box.height) return leave();
    const kx = (at.x1 - at.x0) / box.width, ky = (at.y1 - at.y0) / box.height, reach = 10;
    wanted = { type: "point", at: [at.x0 + sx * kx, at.y1 - sy * ky, reach * kx, reach * ky] };
    ask();
  };
  const ask = () => {
    if (waiting || !wanted) return;
    waiting = true;
    model.send_msg({ ...wanted, number: ++questions });
    wanted = null;
  };
  const leave = () => {
    wanted = null;
    questions++;
    waiting = false;
    tip.hidden = mark.hidden = true;
  };
  const describe = (message) => {
    if (message.number !== questions) return;
    waiting = false;
    ask();
    tip.hidden = mark.hidden = !message.rows;
    if (!message.rows) return;
    tip.replaceChildren(h("b", {}, message.name), h("dl", {}, message.rows.flatMap(([key, value]) => [h("dt", {}, key), h("dd", {}, value)])));
    const [x, y] = place(message.x, message.y);
    Object.assign(mark.style, { left: `${x}px`, top: `${y}px` });
    const right = x + 16 + tip.offsetWidth > root.clientWidth, low = y + 16 + tip.offsetHeight > root.clientHeight;
    Object.assign(tip.style, { left: `${right ? Math.max(0, x - 12 - tip.offsetWidth) : x + 12}px`, top: `${low ? Math.max(0, y - 12 - tip.offsetHeight) : y + 12}px` });
  };

  attach();
  return root;
}

// Corners of a stroke on the screen that can be told apart, as their numbers: each other one lies within half a pixel
// of a kept one, and where many are left within half a pixel of the line between two kept ones.
const MOST = 10000, NEAR = 0.5;
function thin(xs, ys) {
  const apart = [0];
  for (let i = 1; i < xs.length; i++) {
    const last = apart[apart.length - 1];
    if (Math.hypot(xs[i] - xs[last], ys[i] - ys[last]) >= NEAR) apart.push(i);
  }
  if (apart.length <= MOST) return apart;
  // from each kept corner all that follow are in sight of the last one: their directions have a range in common
  const kept = [0];
  let low = -Infinity, high = Infinity, ahead = 0, reach = 0;
  for (let at = 1; at < apart.length; at++) {
    const from = apart[kept[kept.length - 1]], to = apart[at];
    const dx = xs[to] - xs[from], dy = ys[to] - ys[from], distance = Math.hypot(dx, dy), first = high === Infinity;
    if (first) ahead = Math.atan2(dy, dx);
    const turn = Math.atan2(dy, dx) - ahead, angle = Math.atan2(Math.sin(turn), Math.cos(turn));
    if (!first && (angle < low || angle > high || distance < reach)) {
      kept.push(--at);
      [low, high, reach] = [-Infinity, Infinity, 0];
      continue;
    }
    const wide = Math.asin(Math.min(1, NEAR / distance));
    [low, high, reach] = [Math.max(low, angle - wide), Math.min(high, angle + wide), distance];
  }
  kept.push(apart.length - 1);
  return kept.map((at) => apart[at]);
}
