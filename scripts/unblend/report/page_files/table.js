// The table of all sources, sorted by a click on a column and filtered by words and conditions.
"use strict";
const GROUPS = [["snr", "S/N", true], ["flux", "flux and error", false], ["mag", "magnitudes", true], ["shape", "shape", true], ["flags", "flags", true]];
const COLUMNS = [
  { key: "id", head: "ID", group: "", value: (row) => DATA.sources.id[row], text: (v) => String(v), what: "ID of the source" },
  ...DATA.bands.flatMap((band) => [
    { key: `snr_${band.name}`, head: ["S/N", band.name], group: "snr", value: (row) => band.columns.snr[row], text: (v) => digits(v), what: "flux divided by its adopted error" }]),
  ...DATA.bands.flatMap((band) => [
    { key: `flux_${band.name}`, head: ["flux", band.name], group: "flux", value: (row) => band.columns.flux[row], text: (v) => digits(v, 4), what: "total flux in image units" },
    { key: `err_${band.name}`, head: ["error", band.name], group: "flux", value: (row) => band.columns.err[row], text: (v) => digits(v), what: "adopted error in image units" }]),
  ...DATA.bands.filter((band) => band.columns.mag.some(known)).map((band) => (
    { key: `mag_${band.name}`, head: ["mag", band.name], group: "mag", value: (row) => band.columns.mag[row], text: (v) => fixed(v, 2), what: "AB magnitude" })),
  { key: "n", head: "n", group: "shape", value: (row) => DATA.sources.n[row], text: (v) => fixed(v, 2), what: "Sersic index" },
  { key: "r_e", head: "r_e [″]", group: "shape", value: (row) => DATA.sources.r_e_arcsec[row], text: (v) => fixed(v, 3), what: "half-light radius of the model in arcsec" },
  { key: "chi2", head: "χ²", group: "shape", value: (row) => DATA.sources.chi2_red[row], text: (v) => fixed(v, 2), what: "reduced chi2 of the fit over the source's own segment" },
  { key: "flags", head: "flags", group: "flags", words: true, value: (row) => flagNames(allFlags(row)).length, text: (_, row) => flagNames(allFlags(row)).join(", "), what: "flags of the fit and of all bands, sorted by their number" },
];
function allFlags(row) {
  return DATA.bands.reduce((all, band) => all | band.columns.flag[row], DATA.sources.flag[row]);
}

// Return a function that tells whether a row passes a filter: all terms of `text` must be true. Errors are for the reader.
function filterOf(text) {
  const tests = text.trim().split(/\s+/).filter(Boolean).map((term) => {
    const condition = term.match(/^([^<>=]+)(<=|>=|<|>|=)(.+)$/);
    if (!condition) {
      const word = term.toLowerCase(), not = word.startsWith("!"), wanted = not ? word.slice(1) : word;
      if (/^\d+$/.test(wanted)) return (row) => (DATA.sources.id[row] === Number(wanted)) !== not;
      return (row) => flagNames(allFlags(row)).some((name) => name.includes(wanted)) !== not;
    }
    const [, name, sign, number] = condition, limit = Number(number);
    const column = COLUMNS.find((c) => c.key.toLowerCase() === name.toLowerCase());
    if (!column) throw new Error(`No column is named ${name}. Columns: ${COLUMNS.map((c) => c.key).join(", ")}.`);
    if (Number.isNaN(limit)) throw new Error(`${number} is not a number.`);
    const holds = { "<": (v) => v < limit, ">": (v) => v > limit, "<=": (v) => v <= limit, ">=": (v) => v >= limit, "=": (v) => v === limit }[sign];
    return (row) => known(column.value(row)) && holds(column.value(row));
  });
  return (row) => tests.every((test) => test(row));
}

const TABLE = { sort: "id", down: false, shown: new Set(GROUPS.filter(([, , on]) => on).map(([name]) => name)), filter: "" };
const visibleColumns = () => COLUMNS.filter((column) => !column.group || TABLE.shown.has(column.group));

function sortedRows(rows, column, down) {
  const values = new Map(rows.map((row) => [row, column.value(row)]));
  // Unknown values come last in either order.
  return rows.sort((a, b) => {
    const [u, v] = [values.get(a), values.get(b)];
    if (!known(u) || !known(v)) return known(v) - known(u);
    return (down ? v - u : u - v) || a - b;
  });
}

function drawTable() {
  const head = document.querySelector("#table thead"), body = document.querySelector("#table tbody"), status = document.getElementById("filtered");
  const columns = visibleColumns(), by = COLUMNS.find((column) => column.key === TABLE.sort);
  let rows = DATA.sources.id.map((_, row) => row);
  const total = rows.length;
  try {
    rows = rows.filter(filterOf(TABLE.filter));
    status.textContent = `${rows.length} of ${total} sources`;
    status.classList.remove("warn");
  } catch (problem) {
    status.textContent = problem.message;
    status.classList.add("warn");
  }
  head.replaceChildren(html("tr", {}, columns.map((column) => html("th", {
    "data-key": column.key, scope: "col", class: column.words ? "words" : "", title: `${column.key}: ${column.what}`,
    "aria-sort": column === by ? (TABLE.down ? "descending" : "ascending") : "none" },
    html("button", { type: "button", onclick: () => sortBy(column) }, [].concat(column.head).flatMap((part, k) => (k ? [html("br"), part] : [part])))))));
  const fragment = document.createDocumentFragment();
  for (const row of sortedRows(rows, by, TABLE.down)) {
    const line = document.createElement("tr");
    line.dataset.id = DATA.sources.id[row];
    for (const column of columns) {
      const cell = document.createElement("td");
      cell.textContent = column.text(column.value(row), row);
      if (column.words) cell.className = "words";
      line.append(cell);
    }
    fragment.append(line);
  }
  body.replaceChildren(fragment);
  markRows();
}
function sortBy(column) {
  // The first click sorts numbers from the largest, IDs from the first.
  TABLE.down = TABLE.sort === column.key ? !TABLE.down : column.key !== "id";
  TABLE.sort = column.key;
  drawTable();
}
function markRows() {
  for (const line of document.querySelectorAll("#table tbody tr")) {
    const id = Number(line.dataset.id);
    line.className = `${id === DATA.target ? "target" : ""} ${CARDS.has(id) ? "open" : ""}`;
  }
}

function buildTable(section) {
  const field = html("input", { type: "search", id: "filter", placeholder: "filter: fit_on_bound  chi2>1.3  n<1  !degenerate  12", size: 60,
    oninput: (event) => { TABLE.filter = event.target.value; drawTable(); } });
  const groups = GROUPS.filter(([name]) => COLUMNS.some((column) => column.group === name)).map(([name, label]) => html("label", {},
    html("input", { type: "checkbox", checked: TABLE.shown.has(name), "data-group": name,
      onchange: (event) => { TABLE.shown[event.target.checked ? "add" : "delete"](name); drawTable(); } }), " ", label));
  section.append(
    html("div", { class: "controls" }, field, html("span", { id: "filtered", role: "status" }), html("span", { class: "grow" }), groups),
    html("div", { class: "scroll" }, html("table", { id: "table", class: "numbers",
      onclick: (event) => { const line = event.target.closest("tbody tr"); if (line) location.hash = `source-${line.dataset.id}`; } },
      html("thead"), html("tbody"))),
    html("p", { class: "soft" }, "Click on a column to sort by it, and on a row to open the card of the source below. A filter consists of flag names (!name: without this flag), IDs, and conditions on columns, all of which must be true. The name of a column is shown when the mouse is over its heading."),
    html("div", { id: "cards" }));
  drawTable();
}
