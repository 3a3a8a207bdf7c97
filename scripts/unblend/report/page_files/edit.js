// Edits of the field: shapes drawn on the images, overrides of fits, runs. Under `./unblend page` they are saved into the
// user's files; on a page from disk they are downloaded as region files.
"use strict";
const EDIT = { tool: null, kind: "circle", served: location.protocol === "http:", files: [], drawn: null, before: null };
const SMALLEST_RADIUS = 0.35; // arcsec: that of a circle which is clicked and not drawn
const TOLD_SIGMAS = 0.1; // changes smaller than this, over the error, are only counted
const panelNamed = (name) => (name === "stack" ? DATA.stack : DATA.bands.find((band) => band.name === name));

async function ask(action, request = {}) {
  const reply = await fetch(`../api/${action}`, { method: "POST", body: JSON.stringify(request) });
  const answer = await reply.json();
  if (!reply.ok) throw new Error(answer.error);
  return answer;
}

// Run `work`, and show what is wrong as a sentence.
async function attempt(work) {
  const place = document.getElementById("edit-message");
  place.textContent = "";
  try { await work(); } catch (error) { place.textContent = error.message; }
}

// Positions --------------------------------------------------------------------------------------------------------
// A mark has x to the right and y down, in page pixels from the corner; an image pixel is 0-based, y up.

function toImage(panel, [u, v]) {
  const { binned, corner: [y0, x0] } = panel;
  return [(panel.height - v) * binned - 0.5 + y0, u * binned - 0.5 + x0];
}
function toMarks(panel, [y, x]) {
  const { binned, corner: [y0, x0] } = panel;
  return [(x - x0 + 0.5) / binned, panel.height - (y - y0 + 0.5) / binned];
}

// What has been drawn ----------------------------------------------------------------------------------------------

function outlineNode(panel, shape) {
  if (shape.kind === "circle") {
    const [cx, cy] = toMarks(panel, shape.centre);
    return svg("circle", { cx, cy, r: shape.radius / panel.binned });
  }
  return svg("polygon", { points: shape.points.map((point) => toMarks(panel, point).join(",")).join(" ") });
}

// Return a layer of shapes over an image, which shows what the image shows: the whole, or the view of a large image.
function layerOver(field, name, ...children) {
  const { width, height } = panelNamed(field.dataset.panel), view = field.view || { x: 0, y: 0, width, height };
  return svg("svg", { viewBox: `${view.x} ${view.y} ${view.width} ${view.height}`, class: `marks ${name}` }, ...children);
}

function layersOf(name) {
  return [...document.querySelectorAll(".field[data-panel]")].filter((field) => field.dataset.panel === name);
}

function showOutlines() {
  document.querySelectorAll(".field .edits").forEach((node) => node.remove());
  for (const file of EDIT.files)
    for (const field of layersOf(file.panel)) {
      const panel = panelNamed(file.panel);
      field.append(layerOver(field, "edits",
        file.outlines.map((shape) => fill(outlineNode(panel, shape), {}, [svg("title", {}, file.title)]))));
    }
}

function offlineLine(shape) {
  const one = ([y, x]) => `${(x + 1).toFixed(2)},${(y + 1).toFixed(2)}`;
  return shape.kind === "circle" ? `image;circle(${one(shape.centre)},${shape.radius.toFixed(2)})` : `image;polygon(${shape.points.map(one).join(",")})`;
}

async function addShape(shape) {
  const file = EDIT.tool;
  if (EDIT.served) return takeFiles(await ask("add", { key: file.key, shape }));
  file.outlines.push(shape);
  file.lines.push([file.lines.length, offlineLine(shape)]);
  takeFiles({ files: EDIT.files });
}

async function removeLine(file, [number, line]) {
  if (EDIT.served) return takeFiles(await ask("remove", { key: file.key, number, line }));
  file.lines.splice(number, 1);
  file.outlines.splice(number, 1);
  file.lines.forEach((entry, k) => { entry[0] = k; });
  takeFiles({ files: EDIT.files });
}

// Drawing ----------------------------------------------------------------------------------------------------------

function positionIn(field, event) {
  const { width, height } = panelNamed(field.dataset.panel), box = field.getBoundingClientRect();
  const view = field.view || { x: 0, y: 0, width, height };
  return [view.x + (event.clientX - box.left) / box.width * view.width, view.y + (event.clientY - box.top) / box.height * view.height];
}

function showDrawn() {
  document.querySelectorAll(".field .drawing").forEach((node) => node.remove());
  const drawn = EDIT.drawn;
  if (!drawn) return;
  const layer = layerOver(drawn.field, "edits drawing");
  if (drawn.radius !== undefined) layer.append(svg("circle", { cx: drawn.points[0][0], cy: drawn.points[0][1], r: drawn.radius }));
  else layer.append(svg("polyline", { points: [...drawn.points, ...(drawn.next ? [drawn.next] : [])].map((point) => point.join(",")).join(" ") }));
  drawn.field.append(layer);
}

function finishShape() {
  const { field, points, radius } = EDIT.drawn, panel = panelNamed(field.dataset.panel);
  EDIT.drawn = null;
  showDrawn();
  const corners = points.map((point) => toImage(panel, point));
  if (radius === undefined) return attempt(() => addShape({ kind: "polygon", points: corners }));
  return attempt(() => addShape({ kind: "circle", centre: corners[0], radius: Math.max(radius, SMALLEST_RADIUS / panel.scale) * panel.binned }));
}

function listenTo(field) {
  const isMine = (event) => EDIT.tool && EDIT.tool.panel === field.dataset.panel && !event.target.closest("button");
  field.addEventListener("pointerdown", (event) => {
    if (!isMine(event) || EDIT.kind !== "circle") return;
    event.preventDefault();
    field.setPointerCapture(event.pointerId);
    EDIT.drawn = { field, points: [positionIn(field, event)], radius: 0 };
    showDrawn();
  });
  field.addEventListener("pointermove", (event) => {
    if (!EDIT.drawn || EDIT.drawn.field !== field) return;
    const [u, v] = positionIn(field, event), [u0, v0] = EDIT.drawn.points[0];
    if (EDIT.drawn.radius === undefined) EDIT.drawn.next = [u, v];
    else EDIT.drawn.radius = Math.hypot(u - u0, v - v0);
    showDrawn();
  });
  field.addEventListener("pointerup", () => { if (EDIT.drawn && EDIT.drawn.radius !== undefined) finishShape(); });
  // a click belongs to the tool, and does not open a card; a double click closes a polygon
  field.addEventListener("click", (event) => {
    if (!isMine(event)) return;
    event.preventDefault();
    event.stopPropagation();
    if (EDIT.kind !== "polygon" || event.detail > 1) return;
    if (!EDIT.drawn) EDIT.drawn = { field, points: [] };
    EDIT.drawn.points.push(positionIn(field, event));
    showDrawn();
  }, true);
  field.addEventListener("dblclick", (event) => {
    event.preventDefault();
    if (EDIT.drawn && EDIT.drawn.radius === undefined) finishShape();
  });
}

// The list of edits ------------------------------------------------------------------------------------------------

// Shapes over images that appear after the page was built.
function joinEdits(node) {
  node.querySelectorAll(".field[data-panel]").forEach((field) => { listenTo(field); showTool(field); });
  showOutlines();
}
const showTool = (field) => field.classList.toggle("drawable", Boolean(EDIT.tool) && field.dataset.panel === EDIT.tool.panel);

async function chooseTool(file) {
  EDIT.tool = EDIT.tool === file ? null : file;
  EDIT.drawn = null;
  if (EDIT.tool && !EDIT.tool.kinds.includes(EDIT.kind)) EDIT.kind = "circle";
  showDrawn();
  showList();
  document.querySelectorAll(".field[data-panel]").forEach(showTool);
  if (!EDIT.tool) return;
  const band = document.getElementById(`band-${EDIT.tool.panel}`);
  if (band) band.open = true;
  if (band && band.build) await band.build();
  (layersOf(EDIT.tool.panel)[0] || document.body).scrollIntoView({ block: "center" });
}

function download(file) {
  const text = `# Region file format: DS9 version 4.1\n${file.lines.map(([, line]) => line).join("\n")}\n`;
  html("a", { href: URL.createObjectURL(new Blob([text])), download: file.path }).click();
}

function fileEntry(file) {
  const tool = html("button", { class: EDIT.tool === file ? "chosen" : "", "data-key": file.key, onclick: () => chooseTool(file) }, file.title);
  const lines = file.lines.map((entry) => html("li", {}, html("code", {}, entry[1]), " ",
    html("button", { class: "remove", title: "remove this line", onclick: () => attempt(() => removeLine(file, entry)) }, "✕")));
  return html("tr", {}, html("td", {}, tool), html("td", { class: "words" }, html("span", { class: "soft" }, file.path), lines.length ? html("ul", {}, lines) : null,
    !EDIT.served && lines.length ? html("button", { onclick: () => download(file) }, "download") : null));
}

function showList() {
  const kind = (name) => html("label", {}, html("input", { type: "radio", name: "kind", value: name, checked: EDIT.kind === name,
    disabled: Boolean(EDIT.tool) && !EDIT.tool.kinds.includes(name), onchange: () => { EDIT.kind = name; EDIT.drawn = null; showDrawn(); } }), ` ${name}`);
  document.getElementById("edit-list").replaceChildren(
    html("div", { class: "controls" }, kind("circle"), kind("polygon"), html("span", { class: "soft" }, EDIT.tool
      ? (EDIT.kind === "circle" ? "Drag from the centre to the edge." : "Click on the corners, double-click to close.") + " Esc: stop drawing."
      : "Choose what to draw.")),
    html("table", {}, html("tbody", {}, EDIT.files.map(fileEntry))));
}

function takeFiles({ files }) {
  const key = EDIT.tool && EDIT.tool.key;
  EDIT.files = files;
  EDIT.tool = files.find((file) => file.key === key) || null;
  showOutlines();
  showList();
}

// Overrides and runs -----------------------------------------------------------------------------------------------

async function openOverride(id) {
  const { path, text, exists } = await ask("override", { id });
  const area = html("textarea", { rows: 6, cols: 60, spellcheck: "false" }, text);
  const save = (content) => attempt(async () => {
    await ask("override", { id, text: content, before: exists ? text : "" });
    await openOverride(id);
    document.getElementById("edit-message").textContent = content.trim() ? `${path} is saved.` : `${path} is removed.`;
  });
  document.getElementById("edit-override").replaceChildren(html("p", {}, html("span", { class: "soft" }, `${path}${exists ? "" : " (new)"}`)), area,
    html("div", { class: "controls" }, html("button", { id: "save-override", onclick: () => save(area.value) }, "save"), exists ? html("button", { onclick: () => save("") }, "remove") : null));
}

function changesTable(changes) {
  if (!changes) return null;
  const shown = changes.filter(({ sigmas }) => sigmas === null || sigmas > TOLD_SIGMAS), rest = changes.length - shown.length;
  const small = rest ? `${counted(rest, "other source")} changed by less than ${TOLD_SIGMAS} of the error. ` : "";
  if (!changes.length) return html("p", {}, "No flux has changed.");
  const measured = (value, sigma) => (known(value) ? `${digits(value)} ± ${digits(sigma, 2)}` : "–");
  const rows = shown.flatMap(({ id, state, bands }) => Object.entries(bands).map(([band, [old, oldError, flux, error]], k) => html("tr", {},
    html("td", {}, k ? "" : `${id}${state === "changed" ? "" : ` (${state})`}`), html("th", {}, band), html("td", {}, measured(old, oldError)), html("td", {}, measured(flux, error)),
    html("td", {}, known(old) && known(flux) && old !== 0 ? `${fixed(100 * (flux / old - 1), 1)} %` : ""))));
  return [html("p", {}, `${counted(shown.length, "source")} changed (fluxes in image units). ${small}`, html("a", { href: location.pathname, id: "reload" }, "Show the new page"), "."),
    html("div", { class: "scroll" }, html("table", { class: "numbers", id: "changes" }, html("thead", {}, html("tr", {}, ["ID", "band", "before", "now", "change"].map((name) => html("th", {}, name)))), html("tbody", {}, rows)))];
}

function showRun({ running, code, lines, changes }) {
  const button = document.getElementById("run");
  button.disabled = running;
  button.textContent = running ? "running …" : "run";
  const state = code === null ? null : code === 0 ? "The run has ended." : "The run has stopped with an error.";
  document.getElementById("edit-run").replaceChildren(...[lines.length ? html("pre", {}, lines.join("\n")) : null, state ? html("p", { class: code ? "warn" : "" }, state) : null, changesTable(changes)].flat().filter(Boolean));
  if (running) setTimeout(() => attempt(async () => showRun(await ask("state"))), 500);
}

function offlineFiles() {
  const file = (key, title, path, panel, kinds = ["circle", "polygon"]) => ({ key, title, path, panel, kinds, lines: [], outlines: [] });
  return [file("merge", "merge segments", "merged_segments.reg", "stack"), file("manual", "new source", "det_manual.reg", "stack"),
    file("fits-bad", "bad pixels of the fits", "det_stack-bad.reg", "stack"),
    ...DATA.bands.flatMap(({ name }) => [file(`bad:${name}`, `bad pixels of ${name}`, `${name}-bad.reg`, name), file(`sim:${name}`, `empty sky of ${name} for the Monte Carlo`, `${name}-sim.reg`, name, ["circle"])])];
}

function buildEdit(section) {
  const source = html("input", { type: "number", min: 1, id: "override-id", placeholder: "ID" });
  section.append(html("p", { class: "soft" }, EDIT.served
    ? "Shapes are saved into the files named here as soon as they are drawn; a file that was there is kept with a ~. DS9 and an editor see the same files. Run redoes what they touch."
    : "Shapes are kept on this page until you download them into the folder of the field. With ./unblend page FIELD they are saved there, and the workflow is run from here. Files that you have are not shown here."),
    html("p", { id: "edit-message", class: "warn" }), html("div", { id: "edit-list" }));
  if (EDIT.served) section.append(
    html("div", { class: "controls" }, "Override of the fit of source ", source, html("button", { id: "open-override", onclick: () => attempt(() => openOverride(Number(source.value))) }, "edit")), html("div", { id: "edit-override" }),
    html("div", { class: "controls" }, html("button", { id: "run", onclick: () => attempt(async () => showRun(await ask("run"))) }, "run")), html("div", { id: "edit-run" }));
  document.querySelectorAll(".field[data-panel]").forEach(listenTo);
  addEventListener("keydown", (event) => { if (event.key === "Escape" && EDIT.tool) chooseTool(EDIT.tool); });
  if (!EDIT.served) return takeFiles({ files: offlineFiles() });
  attempt(async () => { takeFiles(await ask("files")); showRun(await ask("state")); });
}
