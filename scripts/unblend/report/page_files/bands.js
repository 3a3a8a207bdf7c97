// The sections of the bands (image, model, residual, shift search, Monte Carlo), of the fits, and of the run time.
"use strict";
const DRAWN = []; // functions that draw the panels again when the stretch changes

function panels(panel, circles, own) {
  if (FILES) return linkedViewers(panel, circles, own);
  const canvases = ["image", "model", "image − model"].map(() => html("canvas"));
  const marks = (listed, name) => svg("svg", { viewBox: `0 0 ${panel.width} ${panel.height}`, class: `marks rings ${name}` },
    listed.map(([y, x, r]) => svg("circle", { cx: x + 0.5, cy: panel.height - y - 0.5, r })));
  const openNearest = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * panel.width, y = panel.height * (1 - (event.clientY - box.top) / box.height);
    let nearest = null, least = Infinity;
    DATA.sources.id.forEach((id, row) => {
      const distance = known(panel.x[row]) && known(panel.y[row]) ? Math.hypot(panel.x[row] + 0.5 - x, panel.y[row] + 0.5 - y) : Infinity;
      if (distance < least) [nearest, least] = [id, distance];
    });
    if (least * panel.scale < 3) location.hash = `source-${nearest}`;
  };
  const shown = ["image", "model", "image − model"].map((name, k) => html("figure", {}, html("figcaption", {}, name),
    html("div", { class: "field", "data-panel": panel === DATA.stack ? "stack" : panel.name, style: `aspect-ratio: ${panel.width} / ${panel.height}`, onclick: openNearest }, canvases[k], k === 2 ? marks(circles, "empty") : null, own.length && k !== 1 ? marks(own, "own") : null)));
  const row = html("div", { class: "panels" }, shown);
  const draw = async () => {
    const { image, residual } = await panelLevels(panel), factor = Math.max(1, Math.ceil(panel.width / WIDEST));
    const layers = [image, residual], paint = painterOf(panel);
    // The image shows masked pixels with a tint; in the model and the residual they have no value.
    drawSquares(canvases[0], panel, factor, layers, (bytes, at, [data], masked) => paint(bytes, at, data, masked));
    drawSquares(canvases[1], panel, factor, layers, (bytes, at, [data, rest]) => paint(bytes, at, data - rest, false));
    drawSquares(canvases[2], panel, factor, layers, (bytes, at, [, rest]) => paint(bytes, at, rest, false));
  };
  whenSeen(row, () => { DRAWN.push(draw); draw(); });
  return row;
}

function psfWidth(psf, scale) {
  if (!psf.range) return known(psf.fwhm) ? fixed(psf.fwhm * scale, 3) : "";
  return `${fixed(psf.range[0] * scale, 3)}–${fixed(psf.range[1] * scale, 3)} (${psf.number} PSFs)`;
}

const shiftText = ({ adopted, field }) => `${fixed(adopted[0], 3)}, ${fixed(adopted[1], 3)}${field ? ` + field of order ${field.order}` : ""}`;

// The mean level; where the background is a polynomial its order, and its terms with their errors when the mouse points at it.
function backgroundCell({ background, terms }) {
  if (!terms.length) return html("td", {}, digits(background));
  const order = Math.max(...terms.map(([i, j]) => i + j));
  const listed = terms.map(([i, j, value, error]) => `T${i}(y) T${j}(x): ${digits(value)} ± ${digits(error)}`);
  return html("td", { title: listed.join("\n") }, `${digits(background)} (order ${order})`);
}

function widthsCell([ratio, error, number]) {
  return html("td", { title: `${number || 0} bright isolated sources` }, withError(ratio, error, 2));
}

// The FWHM of the band's stars, and their light within half a FWHM over that within two, over that of the PSF.
function starCells({ fwhm, stars: [width, error, light, lightError, number] }, scale) {
  const title = `${number || 0} isolated stars`, compared = known(width) && known(fwhm);
  return [html("td", { title }, compared ? withError(width * fwhm * scale, error * fwhm * scale, 3) : "–"), html("td", { title }, withError(light, lightError, 3))];
}

function bandSummary() {
  const head = ["band", "pixel [″]", "PSF FWHM [″]", "FWHM of stars [″]", "light of stars / PSF", "widths / expected", "PSF sum", "zero point [AB mag]", "noise", "correlation", "Monte Carlo / formal", "adopted factor", "shift X, Y [″]", "background level", "masked as unmodelled flux [%]", "only in this band", "above 5 σ"];
  const rows = DATA.bands.map((band) => {
    const { simulated, noise, shift, psf, zero_point: zero } = band;
    return html("tr", {}, html("th", {}, html("a", { href: `#band-${band.name}` }, band.name)), html("td", {}, digits(band.scale / band.binned)),
      html("td", {}, psfWidth(psf, band.scale / band.binned)), ...starCells(psf, band.scale / band.binned), widthsCell(psf.widths), html("td", {}, digits(psf.sum, 4)),
      html("td", { title: zero.source }, known(zero.value) ? fixed(zero.value, 3) : "none"),
      html("td", {}, digits(noise.rms)), html("td", {}, fixed(noise.lag, 2)),
      html("td", {}, withError(simulated.ratio, simulated.ratio_err, 2)), html("td", {}, fixed(simulated.scale, 2)),
      html("td", {}, shiftText(shift)), backgroundCell(noise),
      html("td", {}, noise.masked_fraction === null ? "" : fixed(100 * noise.masked_fraction, 1)),
      html("td", {}, String(band.own_number)),
      html("td", {}, `${band.above} of ${NUMBER}`));
  });
  return html("div", { class: "wide" }, html("table", { class: "numbers" }, html("thead", {}, html("tr", {}, head.map((name) => html("th", {}, name)))), html("tbody", {}, rows)));
}

// The figure of the stars of which the band's PSF is built, if it is.
function starFigure(band, text) {
  return text && html("figure", { class: "wide" }, html("img", { src: `data:image/png;base64,${text}`, alt: `Stars of the PSF of ${band.name}`, loading: "lazy" }),
    html("figcaption", {}, "The PSF is built from these stars: stamps with their weights, residuals, the PSF, its light in circles, and the shapes of the stars over the field."));
}

function shiftResults(shift) {
  const sentences = [];
  if (shift.grid) {
    const [dx, dy] = shift.grid.best, references = shift.grid.references;
    sentences.push(`Shift search: minimum of χ² at ${fixed(dx, 3)}, ${fixed(dy, 3)} arcsec (references ${references.slice(0, 8).join(", ")}${references.length > 8 ? " …" : ""}).`);
  }
  if (shift.common) {
    const [[dx, dy], [ex, ey]] = [shift.common.offset, shift.common.error];
    sentences.push(`Mean offset of ${shift.common.used} bright sources at the adopted shift: ${fixed(dx, 3)} ± ${fixed(ex, 3)}, ${fixed(dy, 3)} ± ${fixed(ey, 3)} arcsec.`);
  }
  const warnings = [shift.message, shift.recommendation].filter(Boolean);
  if (!warnings.length && shift.common) sentences.push("No other shift is recommended.");
  return [warnings.map((text) => html("p", { class: "warn" }, text)), sentences.length ? html("p", {}, sentences.join(" ")) : null];
}

function buildBands(section) {
  const redraw = (event) => {
    STRETCH.high = Number(event.target.value) || null;
    DRAWN.forEach((draw) => draw());
    redrawCards();
  };
  const choice = html("select", { id: "stretch", onchange: redraw }, html("option", { value: "" }, "each band's own"),
    [10, 30, 100, 300, 1000].map((high) => html("option", { value: high }, `${high} σ`)));
  const large = html("input", { type: "checkbox", onchange: (event) => document.body.classList.toggle("large", event.target.checked) });
  document.querySelector("nav").append(html("label", { class: "stretch" }, "black at ", choice), html("label", {}, large, " large panels"));
  section.append(bandSummary(),
    html("p", { class: "soft" }, "Noise and background level are in image units. Widths / expected: the FWHM of bright isolated sources over that of their templates (median); a PSF that is too wide gives less than 1. FWHM and light of stars are medians of at least five isolated ones; the light is that within half a FWHM over that within two, over the same of the PSF. The PSF sum is that of the file, before any normalisation. The correlation is that of neighbouring pixels. The adopted factor multiplies the formal errors. Pixels that may contain flux of sources without a model are masked as unmodelled flux. Sources that only a band shows are fitted as points together with all others (magenta circles; band_only.fits). All images of a band have the same stretch: bright pixels are black, masked pixels brown. Yellow circles show where the Monte Carlo takes its noise. Click on a source to open its card."));
  for (const band of DATA.bands) section.append(bandDetails(band));
}

// What the section of a band shows besides the numbers with which the page opens.
function partsOf(band) {
  if (FILES) return loadChunk(`bands/${band.name}`);
  const { formal, sim } = band.columns, png = document.getElementById(`png:band:${band.name}:stars`);
  return { circles: band.circles, own: band.own, offsets: band.shift.offsets, errors: { id: DATA.sources.id, formal, sim }, stars: png ? [png.textContent] : [] };
}

function bandDetails(band) {
  const details = html("details", { class: "band", id: `band-${band.name}` }, html("summary", {}, html("h3", {}, band.name, html("span", { class: "soft" }, ` black at ${digits(band.high, 2)} σ of the noise${band.binned > 1 ? `, ${band.binned} × ${band.binned} pixels averaged` : ""}`))));
  if (!FILES) {
    details.append(...bandContent(band, partsOf(band)));
    return details;
  }
  let content = null;
  details.build = () => {
    content = content || partsOf(band).then((parts) => { details.append(...bandContent(band, parts)); joinEdits(details); }, tell);
    return content;
  };
  details.addEventListener("toggle", details.build);
  return details;
}

function bandContent(band, { circles: places, own, offsets, errors, stars }) {
  const found = band.shift, { ratio, ratio_err: error, circles } = band.simulated;
  const some = errors.id.length < NUMBER && errors.id.length ? html("figure", {}, errorsPlot(errors), html("figcaption", {}, `${errors.id.length} of ${NUMBER} sources.`)) : errorsPlot(errors);
  return [panels(band, places, own), starFigure(band, stars[0]), shiftResults(found),
    html("div", { class: "row" }, found.grid ? chi2Plot(found.grid) : null, offsets ? html("figure", {}, offsetsPlot(band, offsets), html("figcaption", {}, offsets.number > offsets.id.length ? `The ${offsets.id.length} best measured of ${offsets.number} offsets. ` : "", "Offsets from a linear fit to each source: arrows where they exceed three times their errors, dots elsewhere. Red arrow: scale.")) : null,
      offsets && found.field ? html("figure", {}, offsetsPlot(band, offsets, found.field), html("figcaption", {}, "Grey arrows: the adopted field of shifts, beside the constant shift. Blue arrows: the offsets of the bright sources; it was fitted to those of galaxies, not of stars.")) : null,
      html("figure", {}, monteCarloPlot(band.simulated), html("figcaption", {}, known(ratio)
        ? `${circles} circles. Ratio of Monte Carlo to formal errors: ${fixed(ratio, 2)} ± ${fixed(error, 2)}. Blue: all sources; red: the target; dashed: a Gaussian of unit width.`
        : `${circles} circles, which are too few for a ratio.`)), some)].flat(3).filter(known);
}

// The fits with the worst chi2, and those with problems, worst first, and the number of those with problems.
function worstFits() {
  if (FILES) return [DATA.worst, FILES.problems];
  const s = DATA.sources, order = s.id.map((_, row) => row).filter((row) => known(s.chi2_red[row])).sort((a, b) => s.chi2_red[b] - s.chi2_red[a]);
  const problems = order.filter((row) => s.flag[row] & DATA.fit_problems), count = Math.max(20, problems.length);
  const listed = order.slice(0, count).concat(problems.filter((row) => order.indexOf(row) >= count));
  const names = ["id", "group", "chi2_red", "n", "r_e_arcsec", "ell", "flag"];
  return [listed.map((row) => Object.fromEntries(names.map((name) => [name, s[name][row]]))), s.id.filter((_, row) => s.flag[row] & DATA.fit_problems).length];
}

function buildFits(section) {
  const [listed, flagged] = worstFits();
  const rows = listed.map((fit) => html("tr", { onclick: () => { location.hash = `source-${fit.id}`; } },
    html("td", {}, sourceLink(fit.id)), html("td", {}, html("a", { href: fitPicture(fit.group) }, String(fit.group))),
    html("td", {}, fixed(fit.chi2_red, 2)), html("td", {}, fixed(fit.n, 2)), html("td", {}, fixed(fit.r_e_arcsec, 3)), html("td", {}, fixed(fit.ell, 2)),
    html("td", { class: "words" }, flagNames(fit.flag).join(", "))));
  section.append(html("p", {}, `${flagged} of ${NUMBER} fits are flagged as retried, replaced, on a bound, poor or timed out. `,
    "All fits with their residuals: ", html("a", { href: "../imfit/sheet.html" }, "imfit/sheet.html"), "."),
    panels(DATA.stack, [], []), html("p", { class: "soft" }, `The stack of the detection images, the fitted models, and the residual. The table lists ${FILES ? `${listed.length} fits, those` : "the fits"} with the worst χ² of a source's own segment first. Groups are the folders in imfit.`),
    html("div", { class: "scroll" }, html("table", { class: "numbers", id: "worst" }, html("thead", {}, html("tr", {},
      ["ID", "group", "χ²", "n", "r_e [″]", "ell"].map((name) => html("th", {}, name)), html("th", { class: "words" }, "flags"))), html("tbody", {}, rows))));
}

function buildTime(section) {
  const times = DATA.times, longest = Math.max(1e-9, ...times.map((time) => time.clock)), total = times.reduce((sum, time) => sum + time.processor, 0);
  if (!times.length) {
    section.append(html("p", { class: "soft" }, "There are no benchmark files."));
    return;
  }
  const rows = times.map((time) => html("tr", {}, html("th", {}, time.rule), html("td", {}, String(time.jobs)), html("td", {}, fixed(time.clock, 1)),
    html("td", {}, fixed(time.processor, 1)), html("td", {}, fixed(time.memory, 0)),
    html("td", { class: "words" }, html("span", { class: "bar", style: `width: ${(260 * time.clock / longest).toFixed(0)}px` }))));
  section.append(html("div", { class: "wide" }, html("table", { class: "numbers" }, html("thead", {}, html("tr", {}, ["rule", "jobs", "wall clock [s]", "CPU time [s]", "peak memory [MB]", ""].map((name) => html("th", {}, name)))), html("tbody", {}, rows))),
    html("p", { class: "soft" }, `Total CPU time ${fixed(total, 0)} s, from the last run of each job. Wall-clock times of parallel jobs overlap.`));
}
