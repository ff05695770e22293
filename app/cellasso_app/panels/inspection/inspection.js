// What is in the file: problems first, then what it costs, then the tree. Opened from the app bar.
export function render({ model, el }) {
  const facts = h("p", { class: "facts" });
  const body = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Report" });
  const copy = h("button", { type: "button", class: "plain", onclick: async () => {
    await navigator.clipboard.writeText(model.report.text);
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy as text"; }, 2000);
  } }, "Copy as text");
  const title = h("h2", { id: "inspection-title" }, "What is in this file");
  const dialog = h("dialog", { class: "inspection", "aria-labelledby": "inspection-title", tabindex: "-1" },
    h("div", { class: "top" }, h("div", {}, title, facts), copy, iconButton("close", "Close", () => dialog.close(), "Esc")), body);

  listen(model, el, "cellasso-inspect", () => {
    showModal(dialog);
    if (!model.report.sections) model.send_msg({ type: "inspect" });
  });
  watch(model, ["report"], () => {
    const report = model.report;
    copy.hidden = !report.sections || !navigator.clipboard;
    facts.textContent = report.sections
      ? [report.file, report.format, `${number(report.n_obs)} cells × ${number(report.n_vars)} features`, bytes(report.file_bytes)].join(" · ") : "";
    if (report.sections) body.replaceChildren(problems(report), costs(report), contents(report));
    else body.replaceChildren(h("p", { class: report.error ? "error" : "empty", role: "status" }, report.error || "Reading the structure…"));
  });
  return h("div", {}, dialog);
}

const part = (heading, ...content) => h("section", { "aria-label": heading }, h("h3", {}, heading), ...content);
const headings = (...names) => h("thead", {}, h("tr", {}, names.map(([name, kind]) => h("th", { scope: "col", class: kind }, name))));
const times = (shape) => shape.map(number).join(" × ");

function problems(report) {
  const unchecked = report.names_checked ? null
    : h("p", { class: "note" }, "Names were not searched for duplicates: the file has too many to read them for it.");
  return part("Problems", report.problems.length
    ? h("ul", { class: "problems" }, report.problems.map((problem) => h("li", {}, problem)))
    : h("p", { class: "fine" }, "None found."), unchecked);
}

function costs(report) {
  let before = "";
  const rows = report.costs.map((cost) => {
    const what = cost.task === "export" ? "Export 10% of the cells" : `Colour by a gene of ${cost.matrix}`;
    const row = h("tr", { class: what === before ? "again" : "" },
      what === before ? h("td", {}, h("span", { class: "visually-hidden" }, what)) : h("th", { scope: "row" }, what),
      h("td", {}, cost.way === "index" ? "with an index" : "now"), h("td", { class: "n" }, bytes(cost.bytes_read)),
      h("td", { class: "n" }, cost.bytes_written ? bytes(cost.bytes_written) : ""),
      h("td", { class: cost.seconds === null ? "n untimed" : "n takes" }, cost.seconds === null ? "not timed" : seconds(cost.seconds)), h("td", { class: "how" }, cost.method));
    before = what;
    return row;
  });
  return part("What it costs",
    h("table", { "aria-label": "What it costs" }, headings(["Wish"], ["Way"], ["Reads", "n"], ["Writes", "n"], ["Takes about", "n"], ["How", "how"]), h("tbody", {}, rows)),
    h("p", { class: "note" }, `Forecast for this machine (${report.threads} core${report.threads === 1 ? "" : "s"}), from a piece of each matrix that was timed just now.`));
}

function contents(report) {
  const all = report.sections.map((section) => section.rows);
  const many = all.flat().length > 60;
  const bodies = report.sections.map((section) => {
    const name = section.name || (report.format === "h5mu" ? "All modalities" : "");
    const nodes = rowsOf(section.rows, report.file_bytes, many);
    const head = name ? h("tr", { class: "modality" }, h("th", { scope: "rowgroup" }, name), h("td"), h("td", { class: "shape" }, times([section.n_obs, section.n_vars])), h("td", { colspan: "4" })) : null;
    return h("tbody", {}, head, nodes);
  });
  return part("Contents",
    h("table", { class: "tree", "aria-label": "Contents" },
      headings(["Element"], ["Kind"], ["Shape"], ["Type"], ["On disk", "n"], ["In memory", "n"], ["Stored", "stored"]), bodies),
    report.n_cut ? h("p", { class: "note" }, `${number(report.n_cut)} further elements, deep inside, are not listed.`) : null);
}

const CLOSED = ["uns", "var", "varm", "varp", "obsp", "obsmap", "varmap"];
function rowsOf(rows, fileBytes, many) {
  const open = rows.map((row) => row.depth === 0 && !(many && CLOSED.includes(row.name)));
  const nodes = [];
  const show = () => {
    const above = []; // whether each level of ancestors is open
    rows.forEach((row, at) => {
      nodes[at].hidden = above.slice(0, row.depth).includes(false);
      above[row.depth] = open[at];
    });
  };
  rows.forEach((row, at) => {
    const toggle = row.n_members ? h("button", {
      type: "button", class: "toggle", "aria-expanded": String(open[at]), "aria-label": `Members of ${row.name}`,
      onclick: () => {
        open[at] = !open[at];
        toggle.setAttribute("aria-expanded", String(open[at]));
        show();
      },
    }, icon("chevron")) : h("span", { class: "toggle" });
    const kind = row.problem ? "unreadable" : row.encoding === "dict" ? `group of ${number(row.n_members)}` : row.encoding;
    const stored = row.n_members && !row.chunks.length ? [] : [row.order, row.chunks.length ? `chunks ${times(row.chunks)}` : row.layout, row.compression];
    nodes.push(h("tr", { class: row.problem ? "broken" : row.depth ? "" : "major", title: row.problem || row.path },
      h("th", { scope: "row" }, h("div", { class: "name", style: { paddingLeft: `${16 * row.depth}px` } }, toggle, h("span", {}, row.name))),
      h("td", { class: "kind" }, kind), h("td", { class: "shape" }, times(row.shape)), h("td", {}, row.dtype),
      h("td", { class: "n" }, row.disk === null || row.problem ? "" : h("div", { class: "size" },
        h("span", { class: "share", "aria-hidden": "true" }, h("span", { style: { width: `${100 * Math.min(1, row.disk / fileBytes)}%` } })), h("span", {}, bytes(row.disk)))),
      h("td", { class: "n" }, row.memory === null || row.problem ? "" : bytes(row.memory)), h("td", { class: "stored" }, stored.filter(Boolean).join(", "))));
  });
  show();
  return nodes;
}

const bytes = (n) => {
  const step = n < 999.5 ? 0 : [1, 2, 3].find((i) => n / 1000 ** i < 999.5) ?? 4;
  const scaled = n / 1000 ** step;
  return `${step && scaled < 9.95 ? scaled.toFixed(1) : Math.round(scaled)} ${["B", "kB", "MB", "GB", "TB"][step]}`;
};
const seconds = (s) => {
  if (s < 0.0095) return "< 10 ms";
  if (s < 0.995) return `${+(1000 * s).toPrecision(2)} ms`;
  if (s < 99.5) return `${s.toFixed(s < 9.95 ? 1 : 0)} s`;
  return s < 5400 ? `${Math.round(s / 60)} min` : `${Math.round(s / 3600)} h`;
};
