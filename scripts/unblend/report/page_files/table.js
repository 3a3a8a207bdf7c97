// The table of all sources, sorted by a click on a column and filtered by words and conditions.
"use strict";
const GROUPS = [["snr", "S/N", true], ["flux", "flux and error", false], ["mag", "magnitudes", true], ["shape", "shape", true], ["flags", "flags", true]];
// Every column has a `key`; on a large page this is the name of its file, without which it has no values.
const COLUMNS = [
  { key: "id", head: "ID", group: "", own: () => DATA.sources.id, text: (v) => String(v), what: "ID of the source" },
  ...DATA.bands.flatMap((band) => [
    { key: `snr_${band.name}`, head: ["S/N", band.name], group: "snr", own: () => band.columns.snr, text: (v) => digits(v), what: "flux divided by its adopted error" }]),
  ...DATA.bands.flatMap((band) => [
    { key: `flux_${band.name}`, head: ["flux", band.name], group: "flux", own: () => band.columns.flux, text: (v) => digits(v, 4), what: "total flux in image units" },
    { key: `err_${band.name}`, head: ["error", band.name], group: "flux", own: () => band.columns.err, text: (v) => digits(v), what: "adopted error in image units" }]),
  ...DATA.bands.filter((band) => band.known.includes("mag")).map((band) => (
    { key: `mag_${band.name}`, head: ["mag", band.name], group: "mag", own: () => band.columns.mag, text: (v) => fixed(v, 2), what: "AB magnitude" })),
  { key: "n", head: "n", group: "shape", own: () => DATA.sources.n, text: (v) => fixed(v, 2), what: "Sersic index" },
  { key: "r_e", head: "r_e [″]", group: "shape", own: () => DATA.sources.r_e_arcsec, text: (v) => fixed(v, 3), what: "half-light radius of the model in arcsec" },
  { key: "chi2", head: "χ²", group: "shape", own: () => DATA.sources.chi2_red, text: (v) => fixed(v, 2), what: "reduced chi2 of the fit over the source's own segment" },
  { key: "flags", head: "flags", group: "flags", words: true, text: (_, row) => flagNames(allFlags(row)).join(", "), what: "flags of the fit and of all bands, sorted by their number" },
];
const valuesOf = (column) => (FILES ? DATA.sources[column.key] : column.own());
function valueAt(column, row) {
  if (!column.words) return valuesOf(column)[row];
  let count = 0;
  for (let bits = allFlags(row); bits; bits &= bits - 1) count++;
  return count;
}
function allFlags(row) {
  if (FILES) return DATA.sources.flags[row];
  return DATA.bands.reduce((all, band) => all | band.columns.flag[row], DATA.sources.flag[row]);
}

// Return the columns that a filter needs, and a function that tells whether a row passes it: all terms of `text` must be
// true. Errors are for the reader.
function filterOf(text) {
  const needed = new Set(), byKey = (name) => COLUMNS.find((c) => c.key.toLowerCase() === name.toLowerCase());
  const tests = text.trim().split(/\s+/).filter(Boolean).map((term) => {
    const condition = term.match(/^([^<>=]+)(<=|>=|<|>|=)(.+)$/);
    if (!condition) {
      const word = term.toLowerCase(), not = word.startsWith("!"), wanted = not ? word.slice(1) : word;
      if (/^\d+$/.test(wanted)) return (row) => (DATA.sources.id[row] === Number(wanted)) !== not;
      needed.add("flags");
      const bits = DATA.flags.filter((flag) => flag.name.includes(wanted)).reduce((all, flag) => all | flag.bit, 0);
      return (row) => Boolean(allFlags(row) & bits) !== not;
    }
    const [, name, sign, number] = condition, column = byKey(name);
    if (!column) throw new Error(`No column is named ${name}. Columns: ${COLUMNS.map((c) => c.key).join(", ")}.`);
    if (Number.isNaN(Number(number))) throw new Error(`${number} is not a number.`);
    needed.add(column.key);
    let limit = null; // rounded like the numbers of the column
    const holds = { "<": (v) => v < limit, ">": (v) => v > limit, "<=": (v) => v <= limit, ">=": (v) => v >= limit, "=": (v) => v === limit }[sign];
    return (row) => {
      if (limit === null) limit = !column.words && valuesOf(column) instanceof Float32Array ? Math.fround(number) : Number(number);
      const value = valueAt(column, row);
      return known(value) && holds(value);
    };
  });
  return { needed: [...needed], passes: (row) => tests.every((test) => test(row)) };
}

const ALL_ROWS = 2000, ROWS_BEYOND = 30; // of a longer table only the rows in view are drawn, and these beyond it
const TABLE = { sort: "id", down: false, shown: new Set(GROUPS.filter(([, , on]) => on).map(([name]) => name)), filter: "", turn: 0, rows: [], drawn: "", height: 25, widths: {} };
const visibleColumns = () => COLUMNS.filter((column) => !column.group || TABLE.shown.has(column.group));

function sortedRows(rows, column, down) {
  const values = new Float64Array(NUMBER), sign = down ? -1 : 1, listed = [], unknown = [];
  for (const row of rows) {
    const value = valueAt(column, row);
    values[row] = value;
    (known(value) ? listed : unknown).push(row);
  }
  // Unknown values come last in either order.
  return listed.sort((a, b) => sign * (values[a] - values[b]) || a - b).concat(unknown);
}

async function drawTable() {
  const status = document.getElementById("filtered"), turn = ++TABLE.turn, by = COLUMNS.find((column) => column.key === TABLE.sort);
  let filter = filterOf("");
  status.classList.remove("warn");
  try {
    filter = filterOf(TABLE.filter);
  } catch (problem) {
    status.textContent = problem.message;
    status.classList.add("warn");
  }
  if (FILES) {
    await loadColumns(["id", by.key, ...filter.needed, ...visibleColumns().map((column) => column.key)]);
    if (turn !== TABLE.turn) return; // the reader has asked for something else meanwhile
  }
  const rows = Array.from({ length: NUMBER }, (_, row) => row).filter(filter.passes);
  if (!status.classList.contains("warn")) status.textContent = `${rows.length} of ${NUMBER} sources`;
  TABLE.rows = sortedRows(rows, by, TABLE.down);
  document.querySelector("#table thead").replaceChildren(html("tr", {}, visibleColumns().map((column) => html("th", {
    "data-key": column.key, scope: "col", class: column.words ? "words" : "", title: `${column.key}: ${column.what}`,
    "aria-sort": column === by ? (TABLE.down ? "descending" : "ascending") : "none" },
    html("button", { type: "button", onclick: () => sortBy(column) }, [].concat(column.head).flatMap((part, k) => (k ? [html("br"), part] : [part])))))));
  TABLE.drawn = "";
  if (rows.length > ALL_ROWS) document.querySelector("#sources .scroll").scrollTop = 0;
  drawRows();
}

// Draw all rows, or of a long table those that are in view, between two empty rows as high as the others.
function drawRows() {
  const body = document.querySelector("#table tbody"), box = document.querySelector("#sources .scroll"), { rows } = TABLE;
  let [first, last] = [0, rows.length];
  if (rows.length > ALL_ROWS) {
    const seen = Math.ceil(box.clientHeight / TABLE.height);
    first = Math.max(0, Math.floor(box.scrollTop / TABLE.height / ROWS_BEYOND - 1) * ROWS_BEYOND);
    last = Math.min(rows.length, first + seen + 3 * ROWS_BEYOND);
  }
  if (TABLE.drawn === `${first} ${last}`) return;
  TABLE.drawn = `${first} ${last}`;
  const fragment = document.createDocumentFragment(), columns = visibleColumns();
  const space = (number) => { if (number > 0) fragment.append(html("tr", { class: "space", style: `height: ${number * TABLE.height}px` })); };
  space(first);
  for (const row of rows.slice(first, last)) {
    const line = document.createElement("tr");
    line.dataset.id = DATA.sources.id[row];
    for (const column of columns) {
      const cell = document.createElement("td");
      cell.textContent = column.text(column.words ? null : valuesOf(column)[row], row);
      if (column.words) cell.className = "words";
      line.append(cell);
    }
    fragment.append(line);
  }
  space(rows.length - last);
  body.replaceChildren(fragment);
  markRows();
  if (rows.length <= ALL_ROWS) return;
  keepWidths();
  const { height } = body.querySelector("tr[data-id]").getBoundingClientRect();
  if (!height || Math.abs(height - TABLE.height) < 0.01) return;
  // the empty rows were not as high as the others
  TABLE.height = height;
  TABLE.drawn = "";
  drawRows();
}

// Columns of a long table only become wider, so that they do not jump while it scrolls.
function keepWidths() {
  const cells = [...document.querySelectorAll("#table thead th")], widths = cells.map((cell) => cell.getBoundingClientRect().width);
  cells.forEach((cell, k) => {
    const { key } = cell.dataset, width = Math.floor(widths[k]);
    if (width <= (TABLE.widths[key] || 0) && cell.style.minWidth) return;
    TABLE.widths[key] = Math.max(TABLE.widths[key] || 0, width);
    cell.style.minWidth = `${TABLE.widths[key]}px`;
  });
}
function sortBy(column) {
  // The first click sorts numbers from the largest, IDs from the first.
  TABLE.down = TABLE.sort === column.key ? !TABLE.down : column.key !== "id";
  TABLE.sort = column.key;
  return drawTable().catch(tell);
}
function markRows() {
  for (const line of document.querySelectorAll("#table tbody tr[data-id]")) {
    const id = Number(line.dataset.id);
    line.className = `${id === DATA.target ? "target" : ""} ${CARDS.has(id) ? "open" : ""}`;
  }
}

function buildTable(section) {
  const field = html("input", { type: "search", id: "filter", placeholder: "filter: fit_on_bound  chi2>1.3  n<1  !degenerate  12", size: 60,
    oninput: (event) => { TABLE.filter = event.target.value; drawTable().catch(tell); } });
  const groups = GROUPS.filter(([name]) => COLUMNS.some((column) => column.group === name)).map(([name, label]) => html("label", {},
    html("input", { type: "checkbox", checked: TABLE.shown.has(name), "data-group": name,
      onchange: (event) => { TABLE.shown[event.target.checked ? "add" : "delete"](name); drawTable().catch(tell); } }), " ", label));
  section.append(
    html("div", { class: "controls" }, field, html("span", { id: "filtered", role: "status" }), html("span", { class: "grow" }), groups),
    html("div", { class: "scroll", onscroll: drawRows }, html("table", { id: "table", class: "numbers",
      onclick: (event) => { const line = event.target.closest("tbody tr[data-id]"); if (line) location.hash = `source-${line.dataset.id}`; } },
      html("thead"), html("tbody"))),
    html("p", { class: "soft" }, "Click on a column to sort by it, and on a row to open the card of the source below. A filter consists of flag names (!name: without this flag), IDs, and conditions on columns, all of which must be true. The name of a column is shown when the mouse is over its heading."),
    html("div", { id: "cards" }));
  return drawTable();
}
