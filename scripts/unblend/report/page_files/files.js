// A large page: its pixels and numbers are in scripts beside it, each of which calls `chunk` with one piece. A browser
// gives a page from disk the content of no other kind of file.
"use strict";
const WAITING = new Map(); // name: {resolve, reject, promise} of the pieces that are being loaded

function chunk(name, content) {
  const waiting = WAITING.get(name);
  WAITING.delete(name);
  if (waiting) waiting.resolve(content);
}

// Return a piece of the page. The folder is named after its content: no piece of another version of the page is found.
function loadChunk(name) {
  if (WAITING.has(name)) return WAITING.get(name).promise;
  const waiting = {};
  waiting.promise = new Promise((resolve, reject) => Object.assign(waiting, { resolve, reject }));
  WAITING.set(name, waiting);
  const path = `index_files/${FILES.folder}/${name.split("/").map(encodeURIComponent).join("/")}.js`;
  const end = (script, what) => {
    script.remove();
    if (!WAITING.delete(name)) return;
    waiting.reject(new Error(`${path} ${what}. Load the page again if the workflow has run meanwhile; a copy of the page needs the folder index_files beside it.`));
  };
  document.head.append(html("script", { src: path, onload: (event) => end(event.target, "is damaged"), onerror: (event) => end(event.target, "is missing") }));
  return waiting.promise;
}

// Numbers ----------------------------------------------------------------------------------------------------------

const TYPES = { i4: Int32Array, f4: Float32Array, f8: Float64Array };

function numbersOf([kind, text]) {
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let k = 0; k < letters.length; k++) bytes[k] = letters.charCodeAt(k);
  return new TYPES[kind](bytes.buffer);
}

// Load columns into DATA.sources, unless they are there.
const COLUMN_FILES = new Map();
function loadColumns(names) {
  const load = async (name) => {
    DATA.sources[name] = numbersOf(await loadChunk(`columns/${name}`));
    if (name === "id") DATA.sources.id.forEach((id, row) => ROW_OF.set(id, row));
  };
  for (const name of names)
    if (!COLUMN_FILES.has(name)) COLUMN_FILES.set(name, load(name).catch((problem) => { COLUMN_FILES.delete(name); throw problem; }));
  return Promise.all(names.map((name) => COLUMN_FILES.get(name)));
}

// Return the card of the source of a row, as `cardOf` does.
async function fileCard(row) {
  const [{ first, source, panels }] = await Promise.all([loadChunk(`cards/${Math.floor(row / FILES.cards)}`), loadColumns(["id", "ra", "dec", "group"])]);
  const at = (columns) => Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, values[row - first]]));
  return { row, source: at(source), panels: panels.map(at) };
}

// Pixels -----------------------------------------------------------------------------------------------------------

const TILE = FILES.tile; // side of a tile in pixels
const KEPT_TILES = 150; // tiles whose levels are kept: 0.5 MB each
const TILES = new Map(); // name: {texts, layers}, the one that was used last at the end

const fileName = (panel) => (panel === DATA.stack ? "stack" : `band-${panel.name}`);
const sizeAt = (panel, level) => [Math.ceil(panel.width / 2 ** level), Math.ceil(panel.height / 2 ** level)];
const [IMAGE, RESIDUAL, BORDERS] = [0, 1, 2]; // layers of a tile; the last only of the stack

// Return a tile as {width, height, layers} with the layers that are wanted; each is decoded once.
async function tileOf(panel, level, row, column, wanted = [IMAGE, RESIDUAL]) {
  const name = `images/${fileName(panel)}/${level}/${row}-${column}`, tile = TILES.get(name) || { texts: loadChunk(name), layers: [] };
  TILES.delete(name);
  TILES.set(name, tile);
  if (TILES.size > KEPT_TILES) TILES.delete(TILES.keys().next().value);
  const texts = await tile.texts.catch((problem) => { TILES.delete(name); throw problem; }), layers = [];
  const found = await Promise.all(wanted.map((k) => (tile.layers[k] = tile.layers[k] || levelsOf(texts[k]))));
  wanted.forEach((k, n) => { layers[k] = found[n].levels; });
  return { width: found[0].width, height: found[0].height, layers };
}

// Return the levels of a part of a panel, as `patchOf` does.
async function filePatch(panel, [y0, x0, y1, x1]) {
  const [bottom, left] = [y0, x0].map((edge) => Math.max(0, edge)), [top, right] = [Math.min(panel.height, y1), Math.min(panel.width, x1)];
  const [width, height] = [Math.max(0, right - left), Math.max(0, top - bottom)];
  const patch = { image: new Uint8Array(width * height), residual: new Uint8Array(width * height), y0: bottom, x0: left, width };
  if (!width || !height) return patch;
  const jobs = [];
  for (let row = Math.floor(bottom / TILE); row * TILE < top; row++)
    for (let column = Math.floor(left / TILE); column * TILE < right; column++)
      jobs.push(tileOf(panel, 0, row, column).then((tile) => {
        const [first, last] = [Math.max(bottom, row * TILE), Math.min(top, row * TILE + tile.height)];
        const [start, end] = [Math.max(left, column * TILE), Math.min(right, column * TILE + tile.width)];
        for (let y = first; y < last; y++)
          ["image", "residual"].forEach((kind, k) => {
            const from = (y - row * TILE) * tile.width - column * TILE;
            patch[kind].set(tile.layers[k].subarray(from + start, from + end), (y - bottom) * width + start - left);
          });
      }));
  await Promise.all(jobs);
  return patch;
}
