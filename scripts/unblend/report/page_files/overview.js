// The field: colour image or stack, borders of the segments, an ellipse and an ID for each source.
"use strict";
const WIDEST = 1000; // largest width of a canvas in pixels: wider images are averaged over squares of pixels
const LABELS = 250; // largest number of IDs: in larger fields only the brightest sources have one

// Average the `layers` over squares of `factor` pixels, and draw each square by `put(bytes, at, means, masked)`.
function drawSquares(canvas, panel, factor, layers, put) {
  const [nx, ny] = [Math.floor(panel.width / factor), Math.floor(panel.height / factor)];
  [canvas.width, canvas.height] = [nx, ny];
  const context = canvas.getContext("2d"), picture = context.createImageData(nx, ny), means = new Float32Array(layers.length);
  for (let j = 0; j < ny; j++)
    for (let i = 0; i < nx; i++) {
      let masked = 0;
      means.fill(0);
      for (let dy = 0; dy < factor; dy++)
        for (let dx = 0; dx < factor; dx++) {
          const at = (j * factor + dy) * panel.width + i * factor + dx;
          for (let k = 0; k < layers.length; k++) means[k] += SIGMAS[layers[k][at]];
          masked += layers[layers.length - 1][at] === 0;
        }
      const count = factor * factor;
      for (let k = 0; k < layers.length; k++) means[k] /= count;
      put(picture.data, 4 * ((ny - 1 - j) * nx + i), means, masked > 0);
    }
  context.putImageData(picture, 0, 0);
}

// Colours after Lupton et al. (2004): the stretch is applied to the sum of the bands and preserves the hue.
function luptonPainter(weights) {
  const noise = Math.hypot(...weights) / 3, black = STRETCH.high || 30, light = [0, 0, 0];
  return (bytes, at, means) => {
    for (let k = 0; k < 3; k++) light[k] = means[k] * weights[k];
    const sum = (light[0] + light[1] + light[2]) / 3;
    const bright = Number.isNaN(sum) ? 0 : Math.max(0, Math.asinh(sum / noise / 2) / Math.asinh(black / 2));
    // Hues of noise have no meaning: they fade below three sigma.
    const hue = Math.min(1, Math.max(0, sum / noise / 3)) ** 2;
    for (let k = 0; k < 3; k++) light[k] = sum > 0 ? bright * (hue * light[k] / sum + 1 - hue) : 0;
    const most = Math.max(light[0], light[1], light[2], 1);
    // The bands are ordered from blue to red, the bytes of a pixel are red, green, blue.
    for (let k = 0; k < 3; k++) bytes[at + k] = 25 + 230 * Math.max(0, light[2 - k] / most);
    bytes[at + 3] = 255;
  };
}
const COLOUR_BANDS = DATA.colour ? DATA.colour.bands.map((name) => DATA.bands.find((band) => band.name === name)) : [];
const COLOUR_WEIGHTS = COLOUR_BANDS.map((band, k) => band.sigma * DATA.colour.scales[k]);
const colourLayers = () =>
  Promise.all(COLOUR_BANDS.map(async (band) => (await imageLevels(`band:${band.name}:image`)).levels));

async function drawField(canvas) {
  const factor = Math.max(1, Math.ceil(DATA.stack.width / WIDEST));
  if (DATA.colour) {
    drawSquares(canvas, DATA.stack, factor, await colourLayers(), luptonPainter(COLOUR_WEIGHTS));
  } else {
    const { image } = await panelLevels(DATA.stack);
    const paint = painterOf(DATA.stack);
    drawSquares(canvas, DATA.stack, factor, [image], (bytes, at, means) => paint(bytes, at, means[0], false));
  }
}

async function drawOutlines(canvas) {
  const { levels } = await imageLevels("outlines");
  const { width, height } = DATA.stack;
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d"), picture = context.createImageData(width, height);
  const colour = DATA.colour ? [120, 200, 255] : [25, 110, 200];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      if (levels[y * width + x]) picture.data.set([...colour, 255], 4 * ((height - 1 - y) * width + x));
  context.putImageData(picture, 0, 0);
}

// Return the ellipse of a source, with its ID if it is to have one; a thousandth of the view is `size` page pixels wide.
function sourceMark(row, y0, x0, size, labelled) {
  const { stack, sources } = DATA, id = sources.id[row], [x, y] = [x0 + 0.5, stack.height - y0 - 0.5];
  const [a, b] = ["a", "b"].map((axis) => Math.max(2.5 * (sources[axis][row] || 1) / stack.binned, 5 * size));
  const kind = id === DATA.target ? "target" : "";
  return svg("a", { href: `#source-${id}`, class: kind },
    svg("title", {}, `source ${id}`),
    svg("ellipse", { cx: x, cy: y, rx: a, ry: b, transform: `rotate(${-(sources.theta[row] || 0)} ${x} ${y})` }),
    labelled || kind ? svg("text", { x: x + 0.7 * a + 2 * size, y: y - 0.7 * b - 2 * size, "font-size": 13 * size }, String(id)) : null);
}

function sourceMarks() {
  const { stack, sources } = DATA, layer = svg("svg", { viewBox: `0 0 ${stack.width} ${stack.height}`, class: "marks" });
  sources.id.forEach((_, row) => {
    if (known(stack.x[row]) && known(stack.y[row])) layer.append(sourceMark(row, stack.y[row], stack.x[row], stack.width / 1000, row < LABELS));
  });
  return layer;
}

// Return a scale bar of round length and arrows to north and east.
function compass(width = DATA.stack.width) {
  const { stack } = DATA, goal = width * stack.scale / 6;
  const length = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600].filter((l) => l <= goal).pop() || 0.1;
  const [[ey, ex], [ny, nx]] = stack.jacobian; // d(east)/d(y, x), d(north)/d(y, x)
  const determinant = ey * nx - ex * ny;
  const toward = (east, north) => {
    const [dy, dx] = [(east * nx - north * ex) / determinant, (north * ey - east * ny) / determinant];
    const size = Math.hypot(dx, dy) || 1;
    return [dx / size, -dy / size];
  };
  const node = svg("svg", { viewBox: "0 0 1000 90", class: "compass", preserveAspectRatio: "xMinYMax meet" });
  const bar = 1000 * length / (width * stack.scale);
  node.append(svg("path", { d: `M20,70h${bar}` }), svg("text", { x: 20 + bar / 2, y: 60, "text-anchor": "middle" }, `${length}″`));
  for (const [name, east, north] of [["N", 0, 1], ["E", 1, 0]]) {
    const [dx, dy] = toward(east, north), [x, y] = [20 + bar + 70, 60];
    node.append(svg("path", { d: `M${x},${y}l${30 * dx},${30 * dy}` }),
      svg("text", { x: x + 42 * dx, y: y + 42 * dy + 5, "text-anchor": "middle" }, name));
  }
  return node;
}

const fieldCaption = () => (DATA.colour
  ? `Colour image of ${DATA.colour.bands.join(", ")} (blue to red). The median bright source is white.`
  : "The weighted stack of the detection images. Bright pixels are black.");

function buildOverview(section) {
  if (FILES) return buildSurveyField(section);
  const picture = html("canvas"), borders = html("canvas", { class: "over" }), marks = sourceMarks();
  const box = html("div", { class: `field ${DATA.colour ? "dark" : ""}`, "data-panel": "stack", style: `aspect-ratio: ${DATA.stack.width} / ${DATA.stack.height}` },
    picture, borders, marks, compass());
  const toggle = (label, name) => html("label", {}, html("input", { type: "checkbox", checked: true,
    onchange: (event) => box.classList.toggle("no-" + name, !event.target.checked) }), " ", label);
  section.append(html("div", { class: "controls" }, toggle("segments", "borders"), toggle("sources and IDs", "marks")), box,
    html("p", { class: "soft" }, `${fieldCaption()} Segments are outlined. The target is red. Click on a source to open its card.`));
  drawField(picture);
  drawOutlines(borders);
  return () => { drawField(picture); };
}
