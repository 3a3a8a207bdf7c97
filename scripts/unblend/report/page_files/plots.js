// Small plots as SVG: axes, histograms, maps, arrows, spectral energy distributions.
"use strict";
const INK = "var(--ink)", SOFT = "var(--soft)", BLUE = "var(--blue)", RED = "var(--red)", PALE = "var(--faint)";

function niceTicks(low, high, wanted = 5) {
  const raw = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= raw * 0.999);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) ticks.push(k * step);
  return ticks.map((value) => [value, Number(value.toPrecision(6)).toString().replace("-", "−")]);
}
function logTicks(low, high) {
  const ticks = [];
  const decades = Math.log10(high / low);
  if (decades < 0.7) return niceTicks(low, high, 4).filter(([value]) => value > 0);
  const multiples = decades > 2.5 ? [1] : decades > 1.2 ? [1, 3] : [1, 2, 3, 5];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
    for (const k of multiples) {
      const value = k * 10 ** power;
      if (value >= low * 0.999 && value <= high * 1.001) ticks.push([value, plainPower(value)]);
    }
  return ticks;
}
function plainPower(value) {
  if (value >= 1e-3 && value < 1e5) return String(Number(value.toPrecision(3)));
  const power = Math.floor(Math.log10(value) + 1e-9);
  const raised = String(power).replace(/./g, (c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] || "⁻");
  const factor = Math.round(value / 10 ** power);
  return (factor === 1 ? "" : factor + "×") + "10" + raised;
}

// A plot with axes; the functions x and y convert data to the drawing. Ranges are [low, high].
class Plot {
  constructor({ width = 270, height = 220, x, y, xlabel, ylabel, xlog = false, ylog = false, xticks, yticks, title, left = 48,
    right = 10, top = title ? 24 : 10 }) {
    const box = { left, right, top, bottom: 38 };
    const [w, h] = [width - box.left - box.right, height - box.top - box.bottom];
    const scaled = (value, [low, high], log) =>
      log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
    this.x = (value) => box.left + w * scaled(value, x, xlog);
    this.y = (value) => box.top + h * (1 - scaled(value, y, ylog));
    this.area = { x: box.left, y: box.top, width: w, height: h };
    this.layer = svg("g");
    this.node = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, class: "plot", role: "img" });
    const text = (at, content, more) => svg("text", { x: at[0], y: at[1], fill: SOFT, ...more }, content);
    this.node.append(this.layer, svg("rect", { ...this.area, fill: "none", stroke: SOFT, "stroke-width": 0.8 }));
    for (const [value, label] of xticks || (xlog ? logTicks(...x) : niceTicks(...x))) {
      const at = this.x(value);
      this.node.append(svg("path", { d: `M${at},${box.top + h}v4`, stroke: SOFT }),
        text([at, box.top + h + 15], label, { "text-anchor": "middle" }));
    }
    for (const [value, label] of yticks || (ylog ? logTicks(...y) : niceTicks(...y))) {
      const at = this.y(value);
      this.node.append(svg("path", { d: `M${box.left},${at}h-4`, stroke: SOFT }),
        text([box.left - 6, at + 3.5], label, { "text-anchor": "end" }));
    }
    const middle = box.top + h / 2;
    this.node.append(text([box.left + w / 2, height - 6], xlabel || "", { "text-anchor": "middle" }),
      text([11, middle], ylabel || "", { "text-anchor": "middle", transform: `rotate(-90 11 ${middle})` }));
    if (title) this.node.append(text([box.left, 15], title, { fill: INK, "font-weight": 600 }));
  }
  draw(...nodes) { this.layer.append(...nodes.flat()); return this; }
  line(points, more) {
    const d = points.map(([x, y], k) => `${k ? "L" : "M"}${this.x(x).toFixed(1)},${this.y(y).toFixed(1)}`).join("");
    return this.draw(svg("path", { d, fill: "none", stroke: INK, ...more }));
  }
}

// Return the chi2 map of the shift search.
function chi2Plot(grid) {
  const offsets = grid.offsets, half = offsets.length > 1 ? (offsets[1] - offsets[0]) / 2 : 0.5;
  const range = [offsets[0] - half, offsets[offsets.length - 1] + half];
  const plot = new Plot({ x: range, y: range, xlabel: "shift along X [arcsec]", ylabel: "shift along Y [arcsec]",
    title: "χ² of the shift search", width: 250, height: 250 });
  const flat = grid.chi2.flat().filter(known), least = Math.min(...flat);
  const value = (chi2) => Math.log10(chi2 - least + 1), most = value(Math.max(...flat)) || 1;
  const side = plot.area.width / offsets.length + 0.3;
  grid.chi2.forEach((row, j) => row.forEach((chi2, i) => {
    if (!known(chi2)) return;
    const light = 30 + 67 * value(chi2) / most;
    plot.draw(svg("rect", { x: plot.x(offsets[i]) - side / 2, y: plot.y(offsets[j]) - side / 2, width: side, height: side,
      fill: `hsl(210 45% ${light.toFixed(1)}%)` }, svg("title", {}, `Δχ² = ${digits(chi2 - least)}`)));
  }));
  const [dx, dy] = grid.best;
  plot.draw(svg("path", { d: `M${plot.x(dx) - 8},${plot.y(dy)}h16M${plot.x(dx)},${plot.y(dy) - 8}v16`, stroke: RED, "stroke-width": 2 }));
  return plot.node;
}

// Return measured offsets with the shift of the field at each source added; as they are without a field.
function withField(found, field) {
  if (!field) return found;
  const sum = (left, own) => left.map((value, k) => (known(value) && known(own[k]) ? value + own[k] : null));
  return { ...found, dx: sum(found.dx, found.field_dx), dy: sum(found.dy, found.field_dy) };
}

// Errors from which an offset is drawn as an arrow.
const SIGNIFICANT = 3;

// Return the offsets of bright sources on the pixels of the band: those that are left at the adopted shift, as arrows where
// they are significant and as dots where not, or, with its field of shifts, those that the field describes, all as arrows
// on those of the field itself.
function offsetsPlot(band, offsets, field = null) {
  const found = withField(offsets, field), width = 250, height = 250, margin = 24;
  const scale = Math.min((width - 8) / band.width, (height - margin - 8) / band.height);
  // where the source is on the band's image: a large page has the positions with the offsets
  const spot = (k) => (found.x ? [found.x[k], found.y[k]] : [band.x[ROW_OF.get(found.id[k])], band.y[ROW_OF.get(found.id[k])]]);
  const measured = found.id.map((_, k) => k).filter((k) => known(found.dx[k]) && known(found.dy[k])
    && Math.hypot(found.err_dx[k], found.err_dy[k]) < 0.2 && known(spot(k)[0]));
  const sizes = measured.map((k) => Math.hypot(found.dx[k], found.dy[k])).sort((a, b) => a - b);
  const typical = sizes.length ? sizes[Math.floor(0.8 * (sizes.length - 1))] : 0.1;
  const unit = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1].find((u) => u >= typical) || 1;
  const pixels = 0.14 * width / unit;
  const node = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, class: "plot", role: "img" });
  node.append(svg("text", { x: 4, y: 15, fill: INK, "font-weight": 600 }, field ? "field of shifts" : "offsets of bright sources"),
    svg("rect", { x: 4, y: margin, width: band.width * scale, height: band.height * scale, fill: "none", stroke: SOFT, "stroke-width": 0.8 }));
  const arrow = (x, y, dx, dy, colour, thick) => {
    const length = Math.hypot(dx, dy), head = Math.min(5, 0.5 * length), turn = Math.atan2(dy, dx);
    const at = (angle) => `${(x + dx + head * Math.cos(turn + angle)).toFixed(1)},${(y + dy + head * Math.sin(turn + angle)).toFixed(1)}`;
    return svg("path", { d: `M${x.toFixed(1)},${y.toFixed(1)}l${dx.toFixed(1)},${dy.toFixed(1)}M${at(2.6)}L${(x + dx).toFixed(1)},${(y + dy).toFixed(1)}L${at(-2.6)}`,
      stroke: colour, "stroke-width": thick, fill: "none" });
  };
  const place = (x, y) => [4 + (x + 0.5) * scale, margin + band.height * scale - (y + 0.5) * scale];
  const frame = `${field ? "field" : "offsets"}-${band.name}`, inside = svg("g", { "clip-path": `url(#${frame})` });
  node.append(svg("clipPath", { id: frame }, svg("rect", { x: 4, y: margin, width: band.width * scale, height: band.height * scale })), inside);
  if (field) field.x.forEach((_, k) => {
    const [x, y] = place(field.x[k], field.y[k]);
    inside.append(arrow(x, y, field.dx[k] * pixels, -field.dy[k] * pixels, SOFT, 0.8));
  });
  for (const k of measured) {
    const [x, y] = place(...spot(k));
    const group = svg("a", { href: `#source-${found.id[k]}` }, svg("title", {},
      `${found.id[k]}: ${fixed(found.dx[k], 3)} ± ${fixed(found.err_dx[k], 3)}, ${fixed(found.dy[k], 3)} ± ${fixed(found.err_dy[k], 3)} arcsec`),
      svg("circle", { cx: x, cy: y, r: 5, fill: "transparent" }), svg("circle", { cx: x, cy: y, r: 1.3, fill: BLUE }),
      field || Math.hypot(found.dx[k] / found.err_dx[k], found.dy[k] / found.err_dy[k]) > SIGNIFICANT
        ? arrow(x, y, found.dx[k] * pixels, -found.dy[k] * pixels, BLUE, 1.2) : null);
    inside.append(group);
  }
  const [x, y] = [12, margin + band.height * scale - 10];
  node.append(svg("rect", { x: 6, y: y - 18, width: unit * pixels + 44, height: 26, fill: "var(--paper)", opacity: 0.85 }),
    arrow(x, y, unit * pixels, 0, RED, 2), svg("text", { x, y: y - 6, fill: RED }, `${unit}″`));
  return node;
}

// Return the histogram of flux changes of the Monte Carlo in formal errors, for all sources and for the target.
function monteCarloPlot(found) {
  const total = found.pooled.reduce((a, b) => a + b, 0), own = found.target.reduce((a, b) => a + b, 0);
  const density = (counts, sum) => counts.map((count) => (sum ? count / sum / found.bin : 0));
  const pooled = density(found.pooled, total), target = density(found.target, own);
  const most = Math.max(0.45, ...pooled, ...target) * 1.08, end = -found.start;
  const plot = new Plot({ x: [-end, end], y: [0, most], xlabel: "change of flux / formal error", ylabel: "density", title: "Monte Carlo" });
  const steps = (values) => values.flatMap((value, k) =>
    [[found.start + k * found.bin, value], [found.start + (k + 1) * found.bin, value]]);
  plot.line([[-end, 0], ...steps(pooled), [end, 0]], { fill: PALE, stroke: "#7e99b3" });
  plot.line(Array.from({ length: 81 }, (_, k) => [-end + k * end / 40, Math.exp(-0.5 * (-end + k * end / 40) ** 2) / Math.sqrt(2 * Math.PI)]),
    { stroke: INK, "stroke-dasharray": "3 3" });
  if (own) plot.line(steps(target), { stroke: RED, "stroke-width": 1.4 });
  return plot.node;
}

// Return the plot of Monte Carlo against formal errors of all sources, or of some of very many.
function errorsPlot({ id: ids, formal, sim }) {
  const rows = formal.map((_, k) => k).filter((k) => formal[k] > 0 && sim[k] > 0);
  if (!rows.length) return null;
  const all = rows.flatMap((k) => [formal[k], sim[k]]);
  const range = [Math.min(...all) / 1.3, Math.max(...all) * 1.3];
  const plot = new Plot({ x: range, y: range, xlog: true, ylog: true, xlabel: "formal error [image units]", ylabel: "Monte Carlo error",
    title: "formal and Monte Carlo errors", width: 260, height: 250, left: 54 });
  plot.line([[range[0], range[0]], [range[1], range[1]]], { stroke: SOFT, "stroke-dasharray": "3 3" });
  for (const k of rows) {
    const id = ids[k], mine = id === DATA.target;
    plot.draw(svg("a", { href: `#source-${id}` }, svg("title", {}, `${id}: ${digits(sim[k] / formal[k])}`),
      svg("circle", { cx: plot.x(formal[k]).toFixed(1), cy: plot.y(sim[k]).toFixed(1), r: mine ? 4 : 2.2, fill: mine ? RED : BLUE, "fill-opacity": mine ? 1 : 0.55 })));
  }
  return plot.node;
}

// Return the names of the bands above a plot, each at its point, moved aside where they would overlap.
function bandNames(plot, points) {
  const { x, y, width } = plot.area, sorted = [...points].sort((a, b) => a.x - b.x), last = sorted.length - 1;
  const step = Math.min(14, width / Math.max(1, last)), at = sorted.map((point) => plot.x(point.x));
  for (let k = 1; k <= last; k++) at[k] = Math.max(at[k], at[k - 1] + step);
  for (let k = last; k >= 0; k--) at[k] = Math.min(at[k], x + width - (last - k) * step);
  return sorted.map((point, k) => svg("g", { class: "band-name" },
    svg("path", { d: `M${plot.x(point.x).toFixed(1)},${y}L${at[k].toFixed(1)},${y - 6}`, stroke: SOFT, "stroke-width": 0.7 }),
    svg("text", { x: at[k] + 2, y: y - 8, fill: INK, transform: `rotate(-60 ${at[k] + 2} ${y - 8})` }, point.band.name)));
}

// Return the fluxes in microjansky against wavelength, or in the order of the bands if a wavelength is not known.
function sedPlot(card) {
  const measured = inBands(card), bands = DATA.bands.filter((_, k) => measured[k].ujy !== undefined);
  const points = bands.map((band, order) => ({ band, order, flux: measured[DATA.bands.indexOf(band)].ujy, error: measured[DATA.bands.indexOf(band)].err_ujy }))
    .filter((point) => known(point.flux) && point.error > 0);
  if (!points.length) return html("p", { class: "soft" }, bands.length ? "There is no flux in any band with a zero point." : "No band has a zero point: there are no fluxes in microjansky.");
  const waves = bands.every((band) => known(band.wavelength));
  for (const point of points) {
    point.x = waves ? point.band.wavelength : point.order;
    // an upper limit wherever the table of the card has one in place of the magnitude
    const limit = measured[DATA.bands.indexOf(point.band)].limit;
    point.limit = known(limit) || !(point.flux > 0);
    point.top = known(limit) ? 10 ** (0.4 * (23.9 - limit)) : point.limit ? point.error : point.flux + point.error;
    point.low = point.limit ? point.top / 2 : Math.max(point.flux - point.error, point.flux / 10);
  }
  const xs = points.map((point) => point.x);
  const x = waves ? [Math.min(...xs) / 1.25, Math.max(...xs) * 1.25] : [-0.5, bands.length - 0.5];
  const y = [Math.min(...points.map((p) => p.low)) / 1.5, Math.max(...points.map((p) => p.top)) * 1.6];
  const above = 16 + 5.5 * Math.max(...points.map((point) => point.band.name.length));
  const plot = new Plot({ x, y, xlog: waves, ylog: true, xlabel: waves ? "wavelength [µm]" : "band", ylabel: "flux [µJy]",
    xticks: waves ? undefined : [], width: 380, height: 250 + above, left: 54, right: 28, top: above });
  plot.draw(bandNames(plot, points));
  for (const point of points) {
    const [at, high, low] = [plot.x(point.x), plot.y(point.top), plot.y(point.low)];
    const tooltip = svg("title", {}, `${point.band.name}: ${digits(point.flux, 4)} ± ${digits(point.error)} µJy${point.limit ? `, below ${digits(point.top)} µJy` : ""}`);
    plot.draw(svg("g", { stroke: point.limit ? SOFT : BLUE, fill: BLUE, "stroke-width": 1.3 }, tooltip, point.limit
      ? svg("path", { d: `M${at - 5},${high}h10M${at},${high}V${low}m-3,-5l3,5l3,-5`, fill: "none" })
      : [svg("path", { d: `M${at - 3},${high}h6M${at},${high}V${low}M${at - 3},${low}h6` }),
        svg("circle", { cx: at, cy: plot.y(point.flux), r: 3.4 })]));
  }
  return plot.node;
}
