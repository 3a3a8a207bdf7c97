// Elements, numbers and pixels: functions for all parts of the page.
"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
const PANELS = [DATA.stack, ...DATA.bands];
const FILES = DATA.files || null; // a large page: its pixels and numbers are in files beside it, see files.js
const NUMBER = FILES ? FILES.number : DATA.sources.id.length;
const ROW_OF = new Map((DATA.sources.id || []).map((id, row) => [id, row]));
const MASK = [203, 170, 150];

// Elements ---------------------------------------------------------------------------------------------------------

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(3)) if (child !== null && child !== undefined) node.append(child);
  return node;
}
const html = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
const sourceLink = (id) => html("a", { href: `#source-${id}`, class: "source" }, String(id));
const fitPicture = (group) => (FILES ? `../imfit/${group}/fit.png` : `../imfit/sheet.html#group-${group}`);

// Show what is wrong as a sentence at the head of the page.
function tell(problem) {
  const place = document.getElementById("problem") || html("p", { id: "problem", class: "warn", role: "alert" });
  place.textContent = problem.message;
  document.querySelector("main").prepend(place);
}

// Do `work` when `node` first comes near the window, so that of a hundred panels only visible ones are drawn.
function whenSeen(node, work) {
  new IntersectionObserver((entries, watcher) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watcher.disconnect();
    work();
  }, { rootMargin: "300px" }).observe(node);
}

// Numbers ----------------------------------------------------------------------------------------------------------

const known = (value) => value !== null && value !== undefined && !Number.isNaN(value);
function digits(value, count = 3) {
  if (!known(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) {
    const [mantissa, power] = value.toExponential(count - 1).split("e");
    return `${mantissa}e${Number(power)}`.replace(/-/g, "−");
  }
  const places = size === 0 ? 0 : Math.max(0, count - 1 - Math.floor(Math.log10(size)));
  return value.toFixed(places).replace("-", "−");
}
function fixed(value, places) {
  if (!known(value)) return "–";
  const text = value.toFixed(places);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}
const withError = (value, error, places) =>
  known(value) ? `${fixed(value, places)}${error > 0 ? ` ± ${fixed(error, places)}` : ""}` : "–";
const flagNames = (bits) => DATA.flags.filter((flag) => bits & flag.bit).map((flag) => flag.name);
function sexagesimal(ra, dec) {
  const parts = (value, places) => {
    const whole = Math.round(Math.abs(value) * 3600 * 10 ** places);
    const seconds = whole / 10 ** places;
    const two = (number) => String(Math.floor(number)).padStart(2, "0");
    const width = places ? places + 3 : 2;
    return `${two(seconds / 3600)}:${two((seconds / 60) % 60)}:${(seconds % 60).toFixed(places).padStart(width, "0")}`;
  };
  return `${parts(ra / 15, 2)} ${dec < 0 ? "−" : "+"}${parts(dec, 1)}`;
}

// Pixels -----------------------------------------------------------------------------------------------------------
// 8-bit levels stand for values in sigma of the noise (report/pixels.py); level 0 is a masked or unknown pixel.

const SIGMAS = Float32Array.from({ length: 256 }, (_, level) =>
  level === 0 ? NaN : DATA.coding.softening * Math.sinh((level - DATA.coding.zero) * DATA.coding.step));
const decoded = new Map();

async function levelsOf(text) {
  const picture = new Image();
  picture.src = "data:image/png;base64," + text;
  await picture.decode();
  const { width, height } = picture;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const levels = new Uint8Array(width * height);
  // The first row of the file is the last of the image. Strips limit the memory: a pixel takes four bytes here.
  const strip = Math.max(1, Math.floor(4e6 / width));
  for (let top = 0; top < height; top += strip) {
    const rows = Math.min(strip, height - top);
    const bytes = context.getImageData(0, top, width, rows).data;
    for (let row = 0; row < rows; row++) {
      const start = (height - 1 - top - row) * width;
      for (let x = 0; x < width; x++) levels[start + x] = bytes[4 * (row * width + x)];
    }
  }
  return { width, height, levels };
}

// Return the levels of an image of the page, which is decoded once.
function imageLevels(name) {
  if (!decoded.has(name)) {
    const element = document.getElementById("png:" + name);
    decoded.set(name, levelsOf(element.textContent));
  }
  return decoded.get(name);
}
const prefixOf = (panel) => (panel === DATA.stack ? "stack" : "band:" + panel.name);
async function panelLevels(panel) {
  const [image, residual] = await Promise.all(
    ["image", "residual"].map((kind) => imageLevels(`${prefixOf(panel)}:${kind}`)));
  return { image: image.levels, residual: residual.levels };
}
// Return the levels of image and residual in (at least) the box [y0, x0, y1, x1] of a panel, its first pixel and width.
async function patchOf(panel, box) {
  if (FILES) return filePatch(panel, box);
  return { ...await panelLevels(panel), y0: 0, x0: 0, width: panel.width };
}

// The stretch of all images of a band: linear in the noise, logarithmic above, bright pixels black. `high` is the level
// of black in sigma as chosen on the page, or null for that of each band.
const STRETCH = { low: -2, high: null };
function painterOf(panel) {
  const low = Math.asinh(STRETCH.low), range = Math.asinh(STRETCH.high || panel.high) - low;
  return (bytes, at, sigma, masked) => {
    const unknown = Number.isNaN(sigma);
    const grey = unknown ? 0 : 255 * (1 - Math.min(1, Math.max(0, (Math.asinh(sigma) - low) / range)));
    const tint = unknown ? 1 : masked ? 0.55 : 0;
    for (let k = 0; k < 3; k++) bytes[at + k] = tint * MASK[k] + (1 - tint) * grey;
    bytes[at + 3] = 255;
  };
}
