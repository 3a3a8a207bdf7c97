// The images of a large page: tiles of the part in view, of the level of averaging that the screen can show.
"use strict";
const MARKS = 300; // largest number of sources that are marked in a view: the first ones, which are the brightest
const BORDER_LEVELS = 2; // levels on which borders of segments are drawn: in others they would cover the sources
const KEPT_PICTURES = 40; // painted tiles of a viewer that are kept besides those in view: 1 MB each
const REACH = 12; // pixels of the screen from which a click reaches a source

// How the pixels of a tile are painted: of a panel its image (plain: without a tint where it is masked), model or
// residual, or the colour image.
function paintedBy(panel, kind) {
  if (kind === "colour") return { sources: COLOUR_BANDS, wanted: [IMAGE], painter: () => {
    const painter = luptonPainter(COLOUR_WEIGHTS), means = [0, 0, 0];
    return (bytes, at, tiles, pixel) => {
      for (let k = 0; k < 3; k++) means[k] = SIGMAS[tiles[k].layers[0][pixel]];
      painter(bytes, at, means);
    };
  } };
  return { sources: [panel], wanted: kind === "plain" ? [IMAGE] : kind === "residual" ? [RESIDUAL] : [IMAGE, RESIDUAL], painter: () => {
    const paint = painterOf(panel);
    if (kind === "model") return (bytes, at, [{ layers: [image, residual] }], pixel) => paint(bytes, at, SIGMAS[image[pixel]] - SIGMAS[residual[pixel]], false);
    // the colours of all levels, and of all levels where the image is masked
    const colours = new Uint8ClampedArray(4 * 512);
    SIGMAS.forEach((sigma, level) => [0, 256].forEach((more) => paint(colours, 4 * (level + more), sigma, more > 0)));
    const words = new Uint32Array(colours.buffer);
    return (bytes, at, [{ layers: [image, residual] }], pixel) => {
      const level = kind === "residual" ? residual[pixel] : image[pixel], word = words[level + (kind === "image" && residual[pixel] === 0 ? 256 : 0)];
      for (let k = 0; k < 4; k++) bytes[at + k] = word >> (8 * k) & 255;
    };
  } };
}

// One image in a field. The view {x, y, width, height} is in page pixels, x to the right and y down from the upper left
// corner; viewers of one `group` have the same view.
class Viewer {
  constructor(panel, kind, group, { borders = false, onView = () => {} } = {}) {
    Object.assign(this, { panel, kind, group, borders, onView, pictures: new Map(), wanted: 0 });
    this.canvas = html("canvas");
    const button = (text, title, act) => html("button", { type: "button", title, onclick: (event) => { event.stopPropagation(); act(); } }, text);
    this.node = html("div", { class: "field viewer", "data-panel": panel === DATA.stack ? "stack" : panel.name, style: `aspect-ratio: ${panel.width} / ${panel.height}` },
      this.canvas, html("div", { class: "zoom" }, button("+", "zoom in", () => this.zoom(0.5)), button("−", "zoom out", () => this.zoom(2)), button("⤢", "the whole image", () => this.setView(this.whole()))));
    this.node.view = this.whole();
    group.push(this);
    this.listen();
    whenSeen(this.node, () => {
      this.seen = true;
      new ResizeObserver(() => this.redraw()).observe(this.node);
    });
  }
  whole() { return { x: 0, y: 0, width: this.panel.width, height: this.panel.height }; }

  // Show a part of the image, as near to it as the image reaches, in all viewers of the group.
  setView({ x, y, width }) {
    const { panel } = this, across = Math.min(panel.width, Math.max(20, width)), high = across * panel.height / panel.width;
    const inside = (edge, size, whole) => Math.min(Math.max(0, edge), whole - size);
    const view = { x: inside(x, across, panel.width), y: inside(y, high, panel.height), width: across, height: high };
    for (const viewer of this.group) {
      viewer.node.view = view;
      viewer.node.classList.toggle("close", across < panel.width);
      viewer.node.querySelectorAll("svg.marks").forEach((layer) => layer.setAttribute("viewBox", `${view.x} ${view.y} ${view.width} ${view.height}`));
      viewer.redraw();
    }
  }
  // Zoom by a factor about a point of the view, its centre if none is given.
  zoom(factor, [u, v] = [0.5, 0.5]) {
    const { x, y, width, height } = this.node.view;
    this.setView({ x: x + u * width * (1 - factor), y: y + v * height * (1 - factor), width: width * factor });
  }
  // Show a place at the centre of a view of this width; y up, in page pixels.
  show(y, x, width) {
    const high = width * this.panel.height / this.panel.width;
    this.setView({ x: x + 0.5 - width / 2, y: this.panel.height - y - 0.5 - high / 2, width });
  }

  // Paint again with the stretch of the page.
  repaint() {
    this.pictures.clear();
    this.redraw();
  }
  redraw() {
    if (this.wanted || !this.seen) return;
    this.wanted = requestAnimationFrame(() => {
      this.wanted = 0;
      if (!this.canvas.clientWidth) return;
      this.draw();
      this.onView(this);
    });
  }
  draw() {
    const { canvas, panel, node: { view } } = this;
    [canvas.width, canvas.height] = [canvas.clientWidth, canvas.clientHeight];
    this.inView = 0;
    const context = canvas.getContext("2d"), scale = canvas.width / view.width;
    const level = Math.min(panel.levels - 1, Math.max(0, Math.round(Math.log2(1 / scale))));
    context.imageSmoothingEnabled = scale * 2 ** level < 1.5;
    // the coarsest level first, so that no part is empty while its tiles are loaded
    for (const each of new Set([panel.levels - 1, level])) {
      const side = TILE * 2 ** each, [nx, ny] = sizeAt(panel, each), bottom = panel.height - view.y - view.height;
      const last = (edge, size) => Math.min(Math.ceil(size / TILE), Math.ceil(edge / side));
      for (let row = Math.max(0, Math.floor(bottom / side)); row < last(panel.height - view.y, ny); row++)
        for (let column = Math.max(0, Math.floor(view.x / side)); column < last(view.x + view.width, nx); column++) {
          this.inView++;
          const picture = this.picture(each, row, column);
          if (!picture) continue;
          const pixel = 2 ** each * scale, top = panel.height - row * side - picture.height * 2 ** each;
          context.drawImage(picture, (column * side - view.x) * scale, (top - view.y) * scale, picture.width * pixel, picture.height * pixel);
        }
    }
    this.node.dataset.level = level;
  }
  // Return a painted tile; null while it is being loaded, after which the view is drawn again.
  picture(level, row, column) {
    const name = `${level}/${row}-${column}`, found = this.pictures.get(name);
    if (found !== undefined) {
      this.pictures.delete(name);
      this.pictures.set(name, found);
      return found;
    }
    const { pictures } = this;
    pictures.set(name, null);
    this.paint(level, row, column).then((picture) => {
      if (pictures.get(name) !== null) return; // repainted meanwhile
      pictures.set(name, picture);
      for (const old of pictures.keys()) if (pictures.size > KEPT_PICTURES + this.inView && pictures.get(old)) pictures.delete(old);
      this.redraw();
    }, (problem) => tell(problem));
    return null;
  }
  async paint(level, row, column) {
    const { sources, wanted, painter } = paintedBy(this.panel, this.kind), borders = this.borders && level < BORDER_LEVELS;
    const [edges, ...tiles] = await Promise.all([borders ? tileOf(DATA.stack, level, row, column, [BORDERS]) : null, ...sources.map((panel) => tileOf(panel, level, row, column, wanted))]);
    const { width, height } = tiles[0], canvas = new OffscreenCanvas(width, height), context = canvas.getContext("2d");
    const picture = context.createImageData(width, height), put = painter(), colour = this.kind === "colour" ? [120, 200, 255] : [25, 110, 200];
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const at = 4 * ((height - 1 - y) * width + x), pixel = y * width + x;
        if (borders && edges.layers[BORDERS][pixel]) picture.data.set([...colour, 255], at);
        else put(picture.data, at, tiles, pixel);
      }
    context.putImageData(picture, 0, 0);
    return canvas;
  }

  // Move by dragging, zoom with two fingers or with Ctrl and the wheel; a click opens the nearest source.
  listen() {
    const { node } = this, fingers = new Map(), drawing = () => node.classList.contains("drawable");
    let moved = 0;
    const within = (event) => {
      const box = node.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    };
    node.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoom(2 ** (Math.sign(event.deltaY) / 2), within(event));
    }, { passive: false });
    node.addEventListener("pointerdown", (event) => {
      if (drawing() || event.target.closest("button")) return;
      if (!fingers.size) moved = 0;
      fingers.set(event.pointerId, within(event));
    });
    node.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before || drawing()) return;
      const now = within(event), other = [...fingers].find(([id]) => id !== event.pointerId), { x, y, width, height } = node.view;
      moved += Math.hypot((now[0] - before[0]) * node.clientWidth, (now[1] - before[1]) * node.clientHeight);
      if (moved < 4) return;
      if (!node.hasPointerCapture(event.pointerId)) node.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, now);
      if (other) {
        const [, fixedAt] = other, reach = (point) => Math.hypot(point[0] - fixedAt[0], point[1] - fixedAt[1]);
        this.zoom(Math.min(4, Math.max(0.25, reach(before) / Math.max(reach(now), 0.01))), fixedAt);
      } else this.setView({ x: x - (now[0] - before[0]) * width, y: y - (now[1] - before[1]) * height, width });
    });
    for (const name of ["pointerup", "pointercancel", "pointerleave"])
      node.addEventListener(name, (event) => { if (name !== "pointerleave" || !node.hasPointerCapture(event.pointerId)) fingers.delete(event.pointerId); });
    node.addEventListener("click", (event) => {
      if (event.target.closest("button") || drawing()) return;
      if (moved >= 4) event.preventDefault();
      else if (!event.target.closest("a")) this.openNearest(within(event)).catch(tell);
    });
  }
  async openNearest([u, v]) {
    const { panel, node: { view } } = this, [ys, xs] = ["y", "x"].map((axis) => `${axis}_${fileName(panel)}`);
    await loadColumns(["id", ys, xs]);
    const x = view.x + u * view.width - 0.5, y = panel.height - view.y - v * view.height - 0.5;
    let nearest = -1, least = Math.max(REACH * view.width / this.node.clientWidth, 3 / panel.scale);
    DATA.sources[xs].forEach((at, row) => {
      const distance = Math.hypot(at - x, DATA.sources[ys][row] - y);
      if (distance < least) [nearest, least] = [row, distance];
    });
    if (nearest >= 0) openSource(DATA.sources.id[nearest]);
  }
}

// Open a card also where the address already names its source.
function openSource(id) {
  if (location.hash === `#source-${id}`) openCard(id);
  else location.hash = `source-${id}`;
}

// The sections of the page -----------------------------------------------------------------------------------------

let OVERVIEW = null;

// Mark the first sources in view, and say how many there are.
function markView(viewer, layer, told) {
  const { panel, node: { view } } = viewer, { x_stack: xs, y_stack: ys } = DATA.sources;
  const bottom = panel.height - view.y - view.height, shown = [];
  let number = 0;
  for (let row = 0; row < NUMBER; row++) {
    const [x, y] = [xs[row] + 0.5 - view.x, ys[row] + 0.5 - bottom];
    if (!(x >= 0 && y >= 0 && x <= view.width && y <= view.height)) continue;
    if (number++ < MARKS || DATA.sources.id[row] === DATA.target) shown.push(row);
  }
  layer.replaceChildren(...shown.map((row) => sourceMark(row, ys[row], xs[row], view.width / 1000, number <= MARKS)));
  told.textContent = number > MARKS ? `${number} sources in view, the first ${MARKS} are marked` : `${counted(number, "source")} in view`;
  viewer.node.querySelector(".compass").replaceWith(compass(view.width));
}

function buildSurveyField(section) {
  const layer = svg("svg", { viewBox: `0 0 ${DATA.stack.width} ${DATA.stack.height}`, class: "marks" }), told = html("span", { class: "soft", role: "status" });
  let listed = false; // whether the positions are loaded
  const viewer = OVERVIEW = new Viewer(DATA.stack, DATA.colour ? "colour" : "plain", [], { borders: true, onView: (seen) => { if (listed) markView(seen, layer, told); } });
  if (DATA.colour) viewer.node.classList.add("dark");
  viewer.canvas.after(layer, compass());
  const toggle = (label, change) => html("label", {}, html("input", { type: "checkbox", checked: true, onchange: (event) => change(event.target.checked) }), " ", label);
  section.append(html("div", { class: "controls" },
    toggle("segments", (on) => { viewer.borders = on; viewer.repaint(); }), toggle("sources and IDs", (on) => viewer.node.classList.toggle("no-marks", !on)), told), viewer.node,
  html("p", { class: "soft" }, `${fieldCaption()} Zoom with the buttons, with two fingers, or with Ctrl and the wheel; drag to move. Segments are outlined and sources have IDs when you are close enough. The target is red. Click on a source to open its card.`));
  loadColumns(["id", "x_stack", "y_stack", "a", "b", "theta"]).then(() => { listed = true; viewer.redraw(); }, tell);
  return () => viewer.repaint();
}

function showInField({ panels: [{ y, x }], source: { side } }) {
  if (!known(y) || !known(x)) return;
  OVERVIEW.show(y, x, 4 * side / DATA.stack.scale);
  OVERVIEW.node.scrollIntoView({ block: "center" });
}

// Image, model and residual of a panel, which move and zoom together.
function linkedViewers(panel, circles, own) {
  const group = [], names = { image: "image", model: "model", residual: "image − model" };
  const rings = (listed, name) => svg("svg", { viewBox: `0 0 ${panel.width} ${panel.height}`, class: `marks rings ${name}` },
    listed.map(([y, x, r]) => svg("circle", { cx: x + 0.5, cy: panel.height - y - 0.5, r })));
  const figures = Object.entries(names).map(([kind, name]) => {
    const viewer = new Viewer(panel, kind, group);
    if (kind === "residual") viewer.canvas.after(rings(circles, "empty"));
    if (own.length && kind !== "model") viewer.canvas.after(rings(own, "own"));
    return html("figure", {}, html("figcaption", {}, name), viewer.node);
  });
  DRAWN.push(() => group.forEach((viewer) => viewer.repaint()));
  return html("div", { class: "panels" }, figures);
}
