// What the page begins with: the warnings of the run, the numbers of sources, and a line for every band.
"use strict";
const FIRST_WARNINGS = 8; // warnings that are always shown; a longer list can be opened

function warningItem({ sentence, logs, number }) {
  const links = logs.map((log, k) => [k ? ", " : "", html("a", { href: `../logs/${log}` }, log.replace(".log", "").replace("/", " "))]);
  return html("li", {}, sentence, html("span", { class: "soft" }, " (", links, number > logs.length ? `; ${number} times` : null, ")"));
}

function warningList() {
  const items = DATA.warnings.map(warningItem), rest = items.splice(FIRST_WARNINGS), left = FILES ? FILES.warnings : 0;
  if (!items.length) return html("p", { class: "soft" }, "No job of this field has a warning in its log.");
  const list = html("ul", { class: "warnings" }, rest);
  const load = () => { loadChunk("warnings").then((found) => list.append(...found.map(warningItem)), tell); };
  const more = rest.length ? html("details", {}, html("summary", {}, `${rest.length + left} more`), list) : null;
  if (left) more.addEventListener("toggle", load, { once: true });
  return [html("ul", { class: "warnings" }, items), more];
}

const counted = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

function countsLine() {
  const { points, faint, small } = DATA.summary, time = DATA.times.reduce((sum, { processor }) => sum + processor, 0);
  const parts = [counted(NUMBER, "source"), points ? `${points} of them fitted as points` : null,
    faint || small ? `${faint} candidates below min_snr and ${small} below min_area dropped` : null,
    time ? `${fixed(time, 0)} s of processor time` : null];
  return html("p", {}, `${parts.filter(Boolean).join("; ")}.`);
}

// The positions of the sources against those of the table of reference_positions.
function positionsLine() {
  const found = DATA.summary.positions;
  if (!found) return null;
  const name = found.file.split("/").pop();
  if (found.offset_arcsec[0] === null) return html("p", {}, `${counted(found.used, "source")} agree with positions in ${name}: too few for an offset.`);
  const signed = (value) => `${value < 0 ? "−" : "+"}${fixed(Math.abs(value), 3)}`;
  const axis = (k, word) => `${signed(found.offset_arcsec[k])} ± ${fixed(found.error_arcsec[k], 3)}″ ${word}`;
  return html("p", {}, `The sources lie ${axis(0, "east")} and ${axis(1, "north")} of the positions in ${name} (median of ${found.used}; single ones scatter by ${found.scatter_arcsec.map((s) => fixed(s, 3)).join(", ")}″). Nothing was moved.`);
}

function bandLines() {
  const head = ["band", "PSF FWHM [″]", "5 σ depth [AB mag]", "5 σ depth [image units]", "sources above 5 σ", "shift X, Y [″]"];
  const rows = DATA.bands.map((band) => html("tr", {}, html("th", {}, html("a", { href: `#band-${band.name}` }, band.name)),
    html("td", {}, psfWidth(band.psf, band.scale / band.binned)), html("td", {}, fixed(band.depth.mag, 2)), html("td", {}, digits(band.depth.flux)),
    html("td", {}, `${band.above} of ${NUMBER}`), html("td", {}, shiftText(band.shift))));
  return html("div", { class: "wide" }, html("table", { class: "numbers" }, html("thead", {}, html("tr", {}, head.map((name) => html("th", {}, name)))), html("tbody", {}, rows)));
}

// The number counts of every band with a zero point.
function countsPlots() {
  const bands = DATA.bands.filter((band) => band.counts);
  if (!bands.length) return null;
  const plot = ({ name, depth, counts: { start, step, numbers } }) => {
    const ends = [start, start + step * numbers.length, ...(known(depth.mag) ? [depth.mag] : [])];
    const drawn = new Plot({ x: [Math.min(...ends) - step, Math.max(...ends) + step], y: [0, 1.1 * Math.max(...numbers)],
      xlabel: "AB mag", ylabel: "sources", title: name, width: 190, height: 160, left: 40, right: 6 });
    const steps = numbers.flatMap((number, k) => [[start + k * step, number], [start + (k + 1) * step, number]]);
    drawn.line([[start, 0], ...steps, [start + step * numbers.length, 0]], { fill: PALE, stroke: BLUE });
    if (known(depth.mag)) drawn.line([[depth.mag, 0], [depth.mag, 1.1 * Math.max(...numbers)]], { "stroke-dasharray": "3 3" });
    return drawn.node;
  };
  return [html("div", { class: "wide" }, html("div", { class: "counts" }, bands.map(plot))),
    html("p", { class: "soft" }, `Number counts: sources above 5 σ in bins of ${bands[0].counts.step} mag. Dashed: the depth for a point source.`)];
}

function buildSummary(section) {
  section.append(...[warningList()].flat().filter(Boolean), countsLine(), positionsLine() ?? "", bandLines(),
    html("p", { class: "soft" }, "Depth: an isolated point source at five sigma, with the correlation of the noise and the adopted factor."),
    ...(countsPlots() ?? []));
}
