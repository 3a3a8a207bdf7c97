// The card of a source: stamps in all bands, shape, fluxes, flags, neighbours, spectral energy distribution.
"use strict";
const STAMP = 132; // side of a stamp in pixels
const OFF_IMAGE = [238, 241, 243, 255];
const KINDS = [["data", "data"], ["removed", "neighbours removed"], ["residual", "residual"]];

// Return a function of (y, x) that gives the model of a source in a band, in sigma of the noise.
async function ownModel(panel, row) {
  const tile = (panel.tiles || [])[row];
  if (!tile) return () => 0;
  const [y0, x0, text] = tile, { width, height, levels } = await levelsOf(text);
  return (y, x) => (y < y0 || x < x0 || y >= y0 + height || x >= x0 + width ? 0 : SIGMAS[levels[(y - y0) * width + x - x0]]);
}

// Call `each(at, pixel, y, x)` for the pixels of a stamp with north up and east left; pixel is −1 off the image.
function overStamp(panel, row, each) {
  const [[ey, ex], [ny, nx]] = panel.jacobian, determinant = ey * nx - ex * ny;
  const step = DATA.sources.side[row] / STAMP, middle = (STAMP - 1) / 2;
  for (let v = 0; v < STAMP; v++)
    for (let u = 0; u < STAMP; u++) {
      const east = (middle - u) * step, north = (middle - v) * step;
      const y = Math.round(panel.y[row] + (east * nx - north * ex) / determinant);
      const x = Math.round(panel.x[row] + (north * ey - east * ny) / determinant);
      const inside = y >= 0 && x >= 0 && y < panel.height && x < panel.width;
      each(4 * (v * STAMP + u), inside ? y * panel.width + x : -1, y, x);
    }
}

async function drawStamps(panel, row, canvases) {
  if (!known(panel.x[row]) || !known(panel.y[row])) return;
  const [{ image, residual }, own] = [await panelLevels(panel), await ownModel(panel, row)];
  const contexts = {}, pictures = {}, paint = painterOf(panel);
  for (const [kind, canvas] of Object.entries(canvases)) {
    contexts[kind] = canvas.getContext("2d");
    pictures[kind] = contexts[kind].createImageData(STAMP, STAMP);
  }
  overStamp(panel, row, (at, pixel, y, x) => {
    const [data, rest] = pixel < 0 ? [NaN, NaN] : [SIGMAS[image[pixel]], SIGMAS[residual[pixel]]];
    const masked = Number.isNaN(rest);
    const values = { data, residual: rest, removed: rest + own(y, x) };
    for (const kind of Object.keys(canvases))
      if (pixel < 0) pictures[kind].data.set(OFF_IMAGE, at);
      else paint(pictures[kind].data, at, values[kind], masked);
  });
  for (const kind of Object.keys(canvases)) contexts[kind].putImageData(pictures[kind], 0, 0);
}

async function drawColourStamp(row, canvas) {
  const layers = await colourLayers(), painter = luptonPainter(COLOUR_WEIGHTS);
  const context = canvas.getContext("2d"), picture = context.createImageData(STAMP, STAMP);
  overStamp(COLOUR_BANDS[1], row, (at, pixel) => {
    if (pixel < 0) picture.data.set(OFF_IMAGE, at);
    else painter(picture.data, at, layers.map((levels) => SIGMAS[levels[pixel]]));
  });
  context.putImageData(picture, 0, 0);
}

// Return marks at the positions of the source and its neighbours, drawn over the stamp.
function stampMarks(row) {
  const { sources, stack } = DATA, side = sources.side[row], marks = svg("svg", { viewBox: `0 0 ${STAMP} ${STAMP}`, class: "marks" });
  const cosine = Math.cos(sources.dec[row] * Math.PI / 180);
  sources.id.forEach((id, other) => {
    const east = (((sources.ra[other] - sources.ra[row] + 540) % 360) - 180) * 3600 * cosine;
    const north = (sources.dec[other] - sources.dec[row]) * 3600;
    if (Math.max(Math.abs(east), Math.abs(north)) > 0.47 * side) return;
    const [x, y] = [STAMP * (0.5 - east / side), STAMP * (0.5 - north / side)];
    const group = svg("a", { href: `#source-${id}`, class: other === row ? "own" : "" }, svg("title", {}, `source ${id}`));
    group.append(svg("path", { d: other === row
      ? `M${x - 11},${y}h-8M${x + 11},${y}h8M${x},${y - 11}v-8M${x},${y + 11}v8` : `M${x - 3},${y}h6M${x},${y - 3}v6` }));
    if (other !== row) group.append(svg("text", { x: x + 4, y: y - 3 }, String(id)));
    marks.append(group);
  });
  return marks;
}

function stampTable(row) {
  const draw = [], head = html("tr", {}, html("th"));
  const rows = KINDS.map(([, name]) => html("tr", {}, html("th", { class: "kind" }, name)));
  const canvas = () => html("canvas", { width: STAMP, height: STAMP });
  if (DATA.colour) {
    const colour = canvas();
    draw.push(() => drawColourStamp(row, colour));
    head.append(html("th", {}, "colour"));
    rows.forEach((line, k) => line.append(html("td", {}, k ? null : html("div", { class: "stamp dark" }, colour, stampMarks(row)))));
  }
  for (const panel of PANELS) {
    const kinds = panel === DATA.stack ? ["data", "residual"] : ["data", "removed", "residual"];
    const canvases = Object.fromEntries(kinds.map((kind) => [kind, canvas()]));
    draw.push(() => drawStamps(panel, row, canvases));
    head.append(html("th", {}, panel.name));
    KINDS.forEach(([kind], k) => rows[k].append(html("td", {}, canvases[kind]
      ? html("div", { class: "stamp" }, canvases[kind], kind === "data" ? stampMarks(row) : null) : null)));
  }
  const table = html("table", { class: "stamps" }, html("thead", {}, head), html("tbody", {}, rows));
  return [html("div", { class: "wide" }, table), () => draw.forEach((one) => one())];
}

function shapeTable(row) {
  const s = DATA.sources, line = (name, value) => html("tr", {}, html("th", {}, name), html("td", {}, value));
  const group = s.group[row], shared = s.id.filter((id, k) => s.group[k] === group && k !== row);
  const fit = html("a", { href: fitPicture(group) }, `imfit/${group}`);
  return html("table", { class: "facts" },
    line("position", sexagesimal(s.ra[row], s.dec[row])),
    line("RA, Dec [deg]", `${s.ra[row].toFixed(6)}, ${s.dec[row].toFixed(6)}`.replace("-", "−")),
    line("model", s.functions[row].replace("+", " + ")),
    line("Sersic n", withError(s.n[row], s.n_err[row], 2)),
    line("r_e [arcsec]", withError(s.r_e_arcsec[row], s.r_e_err[row], 3)),
    line("ellipticity", withError(s.ell[row], s.ell_err[row], 2)),
    line("PA [deg]", withError(s.pa[row], s.pa_err[row], 0)),
    line("reduced χ²", fixed(s.chi2_red[row], 2)),
    s.ebv ? line("Galactic E(B−V)", fixed(s.ebv[row], 3)) : null,
    line("fitted in", [fit, shared.length ? [" with ", shared.flatMap((id, k) => [k ? ", " : "", sourceLink(id)])] : null]));
}

function fluxTable(row) {
  const microjansky = DATA.bands.some((band) => band.columns.ujy);
  const extinction = DATA.bands.some((band) => band.columns.extinction);
  const magnitude = (c) => known(c.limit[row]) ? `> ${fixed(c.limit[row], 2)}` : withError(c.mag[row], c.mag_err[row], 2);
  const some = (kind) => DATA.bands.some((band) => band.columns[kind].some((value) => value > 0));
  const kinds = [["shape", "shape error"], ["shift", "shift error"], ["psf", "PSF error"], ["misfit", "misfit error"]].filter(([kind]) => kind === "shape" || some(kind));
  const head = ["band", "S/N", "flux", "error", microjansky ? "flux [µJy]" : null, "AB mag", extinction ? "A [mag]" : null, "in the aperture", "Monte Carlo error", ...kinds.map(([, name]) => name), "worst neighbour", "correlation"];
  const rows = DATA.bands.map((band) => {
    const c = band.columns, worst = c.worst[row];
    const own = flagNames(c.flag[row] & ~DATA.sources.flag[row]);
    return html("tr", {}, html("th", {}, band.name), html("td", {}, digits(c.snr[row])), html("td", {}, digits(c.flux[row], 4)),
      html("td", {}, digits(c.err[row])),
      microjansky ? html("td", {}, c.ujy ? `${digits(c.ujy[row], 4)} ± ${digits(c.err_ujy[row])}` : "–") : null,
      html("td", {}, magnitude(c)), extinction ? html("td", {}, c.extinction ? fixed(c.extinction[row], 3) : "–") : null,
      html("td", {}, known(c.aperture[row]) ? `${digits(c.aperture[row], 4)} ± ${digits(c.aperture_err[row])}` : "–"), html("td", {}, digits(c.sim[row])), kinds.map(([kind]) => html("td", {}, digits(c[kind][row]))),
      html("td", {}, ROW_OF.has(worst) ? sourceLink(worst) : "–"), html("td", {}, ROW_OF.has(worst) ? fixed(c.correlation[row], 2) : "–"),
      html("td", { class: "words" }, own.join(", ")));
  });
  return html("table", { class: "numbers" }, html("thead", {}, html("tr", {}, head.filter(known).map((name) => html("th", {}, name)), html("th", { class: "words" }, "flags of the band"))),
    html("tbody", {}, rows));
}

function flagList(row) {
  const bits = DATA.bands.reduce((all, band) => all | band.columns.flag[row], DATA.sources.flag[row]);
  const own = DATA.sources.flag[row];
  const items = DATA.flags.filter((flag) => bits & flag.bit).map((flag) => {
    const where = own & flag.bit ? "" : ` (${DATA.bands.filter((band) => band.columns.flag[row] & flag.bit).map((band) => band.name).join(", ")})`;
    return html("li", {}, html("b", {}, flag.name), where, ": ", flag.sentence);
  });
  return items.length ? html("ul", { class: "flags" }, items) : html("p", { class: "soft" }, "No flags.");
}

const CARDS = new Map(); // id: {node, draw}
function makeCard(id) {
  const row = ROW_OF.get(id), [stamps, draw] = stampTable(row), mine = id === DATA.target;
  const close = mine ? null : html("button", { type: "button", class: "close", title: "close this card", onclick: () => closeCard(id) }, "×");
  const node = html("article", { class: "card", id: `source-${id}` },
    html("h3", {}, `Source ${id}`, mine ? html("span", { class: "target" }, "target") : null,
      html("span", { class: "soft" }, ` ${fixed(DATA.sources.side[row], 1)}″ wide, north up, east left`), close),
    stamps, html("div", { class: "row" }, shapeTable(row), sedPlot(row), html("div", { class: "flagged" }, flagList(row))), html("div", { class: "wide" }, fluxTable(row)));
  return { node, draw };
}

function openCard(id, scroll = true) {
  if (!ROW_OF.has(id)) return;
  if (!CARDS.has(id)) {
    const card = makeCard(id);
    CARDS.set(id, card);
    // The target's card comes first, then the newest.
    const box = document.getElementById("cards"), first = box.querySelector(".card");
    if (first && id !== DATA.target) first.after(card.node);
    else box.prepend(card.node);
    card.draw();
  }
  markRows();
  if (scroll) CARDS.get(id).node.scrollIntoView({ block: "start" });
}
function closeCard(id) {
  CARDS.get(id).node.remove();
  CARDS.delete(id);
  if (location.hash === `#source-${id}`) history.replaceState(null, "", "#sources");
  markRows();
}
const redrawCards = () => CARDS.forEach((card) => card.draw());
