// The card of a source: stamps in all bands, shape, fluxes, flags, neighbours, spectral energy distribution.
"use strict";
const STAMP = 132; // side of a stamp in pixels
const OFF_IMAGE = [238, 241, 243, 255];
const KINDS = [["data", "data"], ["removed", "neighbours removed"], ["residual", "residual"]];

// Return what is known of the source of a row: its own values, and those in each of PANELS with y, x and its model there.
async function cardOf(row) {
  if (FILES) return fileCard(row);
  const at = (columns) => Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, values[row]]));
  const inside = (panel) => ({ ...at(panel.columns || {}), y: panel.y[row], x: panel.x[row], tile: (panel.tiles || [])[row] });
  return { row, source: at(DATA.sources), panels: PANELS.map(inside) };
}
const inBands = (card) => card.panels.slice(1);

// Return a function of (y, x) that gives the model of a source in a band, in sigma of the noise.
async function ownModel(tile) {
  if (!tile) return () => 0;
  const [y0, x0, text] = tile, { width, height, levels } = await levelsOf(text);
  return (y, x) => (y < y0 || x < x0 || y >= y0 + height || x >= x0 + width ? 0 : SIGMAS[levels[(y - y0) * width + x - x0]]);
}

// Return the part of a panel that a stamp around (y, x) may show, whatever the orientation of the image.
function stampPatch(panel, { y, x }, side) {
  const half = Math.ceil(0.75 * side / panel.scale) + 1;
  return patchOf(panel, [Math.round(y) - half, Math.round(x) - half, Math.round(y) + half + 1, Math.round(x) + half + 1]);
}

// Call `each(at, pixel, y, x)` for the pixels of a stamp with north up and east left; pixel is the place in the patch, −1
// off the image.
function overStamp(panel, place, side, patch, each) {
  const [[ey, ex], [ny, nx]] = panel.jacobian, determinant = ey * nx - ex * ny;
  const step = side / STAMP, middle = (STAMP - 1) / 2;
  for (let v = 0; v < STAMP; v++)
    for (let u = 0; u < STAMP; u++) {
      const east = (middle - u) * step, north = (middle - v) * step;
      const y = Math.round(place.y + (east * nx - north * ex) / determinant);
      const x = Math.round(place.x + (north * ey - east * ny) / determinant);
      const inside = y >= 0 && x >= 0 && y < panel.height && x < panel.width;
      each(4 * (v * STAMP + u), inside ? (y - patch.y0) * patch.width + x - patch.x0 : -1, y, x);
    }
}

async function drawStamps(panel, card, canvases) {
  const place = card.panels[PANELS.indexOf(panel)], { side } = card.source;
  if (!known(place.x) || !known(place.y)) return;
  const [patch, own] = [await stampPatch(panel, place, side), await ownModel(place.tile)], { image, residual } = patch;
  const contexts = {}, pictures = {}, paint = painterOf(panel);
  for (const [kind, canvas] of Object.entries(canvases)) {
    contexts[kind] = canvas.getContext("2d");
    pictures[kind] = contexts[kind].createImageData(STAMP, STAMP);
  }
  overStamp(panel, place, side, patch, (at, pixel, y, x) => {
    const [data, rest] = pixel < 0 ? [NaN, NaN] : [SIGMAS[image[pixel]], SIGMAS[residual[pixel]]];
    const masked = Number.isNaN(rest);
    const values = { data, residual: rest, removed: rest + own(y, x) };
    for (const kind of Object.keys(canvases))
      if (pixel < 0) pictures[kind].data.set(OFF_IMAGE, at);
      else paint(pictures[kind].data, at, values[kind], masked);
  });
  for (const kind of Object.keys(canvases)) contexts[kind].putImageData(pictures[kind], 0, 0);
}

async function drawColourStamp(card, canvas) {
  const panel = COLOUR_BANDS[1], place = card.panels[PANELS.indexOf(panel)], { side } = card.source;
  const patches = await Promise.all(COLOUR_BANDS.map((band) => stampPatch(band, place, side))), painter = luptonPainter(COLOUR_WEIGHTS);
  const layers = patches.map((patch) => patch.image);
  const context = canvas.getContext("2d"), picture = context.createImageData(STAMP, STAMP);
  overStamp(panel, place, side, patches[1], (at, pixel) => {
    if (pixel < 0) picture.data.set(OFF_IMAGE, at);
    else painter(picture.data, at, layers.map((levels) => SIGMAS[levels[pixel]]));
  });
  context.putImageData(picture, 0, 0);
}

// Return the sources on the stamps of a card as [row, x, y] in pixels of the stamp; found once for all stamps.
function sourcesOnStamps(card) {
  if (card.near) return card.near;
  const { id, ra, dec } = DATA.sources, { row, source: { side } } = card, cosine = Math.cos(dec[row] * Math.PI / 180), reach = 0.47 * side;
  card.near = [];
  for (let other = 0; other < id.length; other++) {
    const north = (dec[other] - dec[row]) * 3600;
    if (Math.abs(north) > reach) continue;
    const east = (((ra[other] - ra[row] + 540) % 360) - 180) * 3600 * cosine;
    if (Math.abs(east) <= reach) card.near.push([other, STAMP * (0.5 - east / side), STAMP * (0.5 - north / side)]);
  }
  return card.near;
}

// Return marks at the positions of the source and its neighbours, drawn over the stamp.
function stampMarks(card) {
  const marks = svg("svg", { viewBox: `0 0 ${STAMP} ${STAMP}`, class: "marks" });
  for (const [row, x, y] of sourcesOnStamps(card)) {
    const id = DATA.sources.id[row], own = row === card.row;
    const group = svg("a", { href: `#source-${id}`, class: own ? "own" : "" }, svg("title", {}, `source ${id}`));
    group.append(svg("path", { d: own
      ? `M${x - 11},${y}h-8M${x + 11},${y}h8M${x},${y - 11}v-8M${x},${y + 11}v8` : `M${x - 3},${y}h6M${x},${y - 3}v6` }));
    if (!own) group.append(svg("text", { x: x + 4, y: y - 3 }, String(id)));
    marks.append(group);
  }
  return marks;
}

function stampTable(card) {
  const draw = [], head = html("tr", {}, html("th"));
  const rows = KINDS.map(([, name]) => html("tr", {}, html("th", { class: "kind" }, name)));
  const canvas = () => html("canvas", { width: STAMP, height: STAMP });
  if (DATA.colour) {
    const colour = canvas();
    draw.push(() => drawColourStamp(card, colour));
    head.append(html("th", {}, "colour"));
    rows.forEach((line, k) => line.append(html("td", {}, k ? null : html("div", { class: "stamp dark" }, colour, stampMarks(card)))));
  }
  for (const panel of PANELS) {
    const kinds = panel === DATA.stack ? ["data", "residual"] : ["data", "removed", "residual"];
    const canvases = Object.fromEntries(kinds.map((kind) => [kind, canvas()]));
    draw.push(() => drawStamps(panel, card, canvases));
    head.append(html("th", {}, panel.name));
    KINDS.forEach(([kind], k) => rows[k].append(html("td", {}, canvases[kind]
      ? html("div", { class: "stamp" }, canvases[kind], kind === "data" ? stampMarks(card) : null) : null)));
  }
  const table = html("table", { class: "stamps" }, html("thead", {}, head), html("tbody", {}, rows));
  return [html("div", { class: "wide" }, table), () => draw.forEach((one) => one().catch(tell))];
}

function shapeTable({ row, source: s }) {
  const line = (name, value) => html("tr", {}, html("th", {}, name), html("td", {}, value)), { id, group } = DATA.sources;
  const shared = [...id.filter((_, k) => group[k] === s.group && k !== row)];
  const fit = html("a", { href: fitPicture(s.group) }, `imfit/${s.group}`);
  return html("table", { class: "facts" },
    line("position", sexagesimal(s.ra, s.dec)),
    line("RA, Dec [deg]", `${s.ra.toFixed(6)}, ${s.dec.toFixed(6)}`.replace("-", "−")),
    line("model", s.functions.replace("+", " + ")),
    line("Sersic n", withError(s.n, s.n_err, 2)),
    line("r_e [arcsec]", withError(s.r_e_arcsec, s.r_e_err, 3)),
    line("ellipticity", withError(s.ell, s.ell_err, 2)),
    line("PA [deg]", withError(s.pa, s.pa_err, 0)),
    line("reduced χ²", fixed(s.chi2_red, 2)),
    s.ebv !== undefined ? line("Galactic E(B−V)", fixed(s.ebv, 3)) : null,
    line("fitted in", [fit, shared.length ? [" with ", shared.flatMap((other, k) => [k ? ", " : "", sourceLink(other)])] : null]));
}

function fluxTable(card) {
  const measured = inBands(card), microjansky = measured.some((c) => c.ujy !== undefined);
  const extinction = measured.some((c) => c.extinction !== undefined);
  const magnitude = (c) => known(c.limit) ? `> ${fixed(c.limit, 2)}` : withError(c.mag, c.mag_err, 2);
  const some = (kind) => DATA.bands.some((band) => band.known.includes(kind));
  const kinds = [["shape", "shape error"], ["shift", "shift error"], ["psf", "PSF error"], ["misfit", "misfit error"]].filter(([kind]) => kind === "shape" || some(kind));
  const head = ["band", "S/N", "flux", "error", microjansky ? "flux [µJy]" : null, "AB mag", extinction ? "A [mag]" : null, "in the aperture", "Monte Carlo error", ...kinds.map(([, name]) => name), "worst neighbour", "correlation"];
  const rows = measured.map((c, k) => {
    return html("tr", {}, html("th", {}, DATA.bands[k].name), html("td", {}, digits(c.snr)), html("td", {}, digits(c.flux, 4)),
      html("td", {}, digits(c.err)),
      microjansky ? html("td", {}, c.ujy !== undefined ? `${digits(c.ujy, 4)} ± ${digits(c.err_ujy)}` : "–") : null,
      html("td", {}, magnitude(c)), extinction ? html("td", {}, c.extinction !== undefined ? fixed(c.extinction, 3) : "–") : null,
      html("td", {}, known(c.aperture) ? `${digits(c.aperture, 4)} ± ${digits(c.aperture_err)}` : "–"), html("td", {}, digits(c.sim)), kinds.map(([kind]) => html("td", {}, digits(c[kind]))),
      html("td", {}, ROW_OF.has(c.worst) ? sourceLink(c.worst) : "–"), html("td", {}, ROW_OF.has(c.worst) ? fixed(c.correlation, 2) : "–"));
  });
  return html("table", { class: "numbers" }, html("thead", {}, html("tr", {}, head.filter(known).map((name) => html("th", {}, name)))),
    html("tbody", {}, rows));
}

function flagList(card) {
  const measured = inBands(card), own = card.source.flag, bits = measured.reduce((all, c) => all | c.flag, own);
  const items = DATA.flags.filter((flag) => bits & flag.bit).map((flag) => {
    const where = own & flag.bit ? "" : ` (${DATA.bands.filter((_, k) => measured[k].flag & flag.bit).map((band) => band.name).join(", ")})`;
    return html("li", {}, html("b", {}, flag.name), where, ": ", flag.sentence);
  });
  return items.length ? html("ul", { class: "flags" }, items) : html("p", { class: "soft" }, "No flags.");
}

const CARDS = new Map(); // id: {node, draw}, or null while the card is being made
function makeCard(id, found) {
  const [stamps, draw] = stampTable(found), mine = id === DATA.target;
  const close = mine ? null : html("button", { type: "button", class: "close", title: "close this card", onclick: () => closeCard(id) }, "×");
  const show = FILES ? html("button", { type: "button", class: "show", onclick: () => showInField(found) }, "show in the field") : null;
  const node = html("article", { class: "card", id: `source-${id}` },
    html("h3", {}, `Source ${id}`, mine ? html("span", { class: "target" }, "target") : null,
      html("span", { class: "soft" }, ` ${fixed(found.source.side, 1)}″ wide, north up, east left`), show, close),
    stamps, html("div", { class: "row" }, shapeTable(found), sedPlot(found), html("div", { class: "flagged" }, flagList(found))), html("div", { class: "wide" }, fluxTable(found)));
  return { node, draw };
}

async function openCard(id, scroll = true) {
  if (!ROW_OF.has(id)) return;
  if (!CARDS.has(id)) {
    CARDS.set(id, null);
    try {
      const card = makeCard(id, await cardOf(ROW_OF.get(id)));
      CARDS.set(id, card);
      // The target's card comes first, then the newest.
      const box = document.getElementById("cards"), first = box.querySelector(".card");
      if (first && id !== DATA.target) first.after(card.node);
      else box.prepend(card.node);
      if (FILES) whenSeen(card.node, card.draw);
      else card.draw();
    } catch (problem) {
      CARDS.delete(id);
      return tell(problem);
    }
  }
  markRows();
  if (scroll && CARDS.get(id)) CARDS.get(id).node.scrollIntoView({ block: "start" });
}
function closeCard(id) {
  CARDS.get(id).node.remove();
  CARDS.delete(id);
  if (location.hash === `#source-${id}`) history.replaceState(null, "", "#sources");
  markRows();
}
const redrawCards = () => CARDS.forEach((card) => card && card.draw());
