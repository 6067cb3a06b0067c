// Draws the plane with its points, the cost curve, and the network.

const SVG = "http://www.w3.org/2000/svg";

// Return the present colours of the style sheet, which are those of a light or a dark page.
const colours = () => {
  const style = getComputedStyle(document.documentElement), of = (name) => style.getPropertyValue("--" + name).trim();
  const named = Object.fromEntries(["panel", "ink", "soft", "rule", "positive", "negative", "training", "held-out"].map((name) => [name, of(name)]));
  return { ...named, classes: [0, 1, 2, 3, 4, 5].map((k) => of("class-" + k)) };
};
export const number = (value) => value === null || value === undefined ? "not finite"
  : value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5) ? value.toExponential(2) : String(+value.toPrecision(4));

const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const mix = (a, b, share) => a.map((value, k) => value + (b[k] - value) * share);
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

// Return the colour of a level from 0 to 1: from the first colour over that of the page to the second.
const diverging = (level, ink) => level < 0.5 ? mix(ink.low, ink.middle, 2 * level) : mix(ink.middle, ink.high, 2 * level - 1);

function image(size, colour) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d"), pixels = context.createImageData(size, size);
  for (let i = 0; i < size * size; i++) pixels.data.set([...colour(i), 255], 4 * i);
  context.putImageData(pixels, 0, 0);
  return canvas;
}

function sharp(canvas) {
  const ratio = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
  canvas.width = Math.round(box.width * ratio);
  canvas.height = Math.round(box.height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return [context, box.width, box.height];
}

// ---- the plane ----

export const place = (scene, x, y, width, height) => {
  const [[left, right], [bottom, top]] = scene.domain;
  return [(x - left) / (right - left) * width, (top - y) / (top - bottom) * height];
};

export function drawPlane(canvas, scene, snapshot, chosen) {
  const [context, width, height] = sharp(canvas), ink = colours(), paper = rgb(ink.panel);
  const { size, channels } = snapshot.surface, levels = channels?.map(bytes);
  const values = channels ? null : new Float32Array(bytes(snapshot.surface.values).buffer);
  const test = new Set(scene.test), low = Math.min(...scene.points.map((p) => p[2])), high = Math.max(...scene.points.map((p) => p[2]));
  const tones = { low: rgb(ink.negative), middle: paper, high: rgb(ink.positive) };
  const classes = scene.classes.map((_, k) => rgb(ink.classes[k]));
  const surface = image(size, (i) => {
    if (!classes.length) return mix(paper, diverging(Math.min(Math.max((values[i] - low) / (high - low), 0), 1), tones), 0.6);
    const sum = levels.reduce((total, level) => total + level[i], 0) || 1;
    const colour = [0, 1, 2].map((part) => classes.reduce((total, one, k) => total + one[part] * levels[k][i] / sum, 0));
    return mix(paper, colour, 0.5);
  });
  context.imageSmoothingQuality = "high";
  context.drawImage(surface, 0, 0, width, height);
  const radius = scene.points.length > 600 ? 2.4 : 3.6;
  scene.points.forEach(([x, y, label], row) => {
    const tone = classes.length ? classes[label] : diverging((label - low) / (high - low || 1), tones);
    context.beginPath();
    context.arc(...place(scene, x, y, width, height), radius, 0, 2 * Math.PI);
    context.fillStyle = test.has(row) ? ink.panel : `rgb(${tone})`;
    context.strokeStyle = test.has(row) ? `rgb(${tone})` : ink.panel;
    context.lineWidth = test.has(row) ? 2 : 1;
    context.fill();
    context.stroke();
  });
  if (chosen !== null && scene.points[chosen]) {
    const [x, y] = scene.points[chosen];
    context.beginPath();
    context.arc(...place(scene, x, y, width, height), 9, 0, 2 * Math.PI);
    context.strokeStyle = ink.ink;
    context.lineWidth = 2.5;
    context.stroke();
  }
}

// ---- the cost curve ----

export function drawCurve(canvas, history) {
  const [context, width, height] = sharp(canvas), ink = colours();
  const values = history.flatMap((point) => point.slice(1)).filter((value) => value !== null);
  if (!values.length) return;
  const positive = values.filter((value) => value > 0), logarithmic = Math.max(...values) > 30 * Math.min(...positive);
  const scale = logarithmic ? (value) => Math.log10(Math.max(value, Math.min(...positive))) : (value) => value;
  const low = logarithmic ? scale(Math.min(...positive)) : Math.min(0, ...values), high = scale(Math.max(...values));
  const left = 54, bottom = 20, last = history[history.length - 1][0] || 1;
  const across = (step) => left + step / last * (width - left - 6);
  const up = (value) => height - bottom - (scale(value) - low) / (high - low || 1) * (height - bottom - 8);
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = ink.soft;
  context.strokeStyle = ink.rule;
  context.textAlign = "right";
  for (const share of [0, 0.5, 1]) {
    const level = low + share * (high - low), value = logarithmic ? 10 ** level : level;
    context.fillText(number(+value.toPrecision(2)), left - 8, up(value) + 4);
    context.beginPath();
    context.moveTo(left, up(value));
    context.lineTo(width - 6, up(value));
    context.stroke();
  }
  context.fillText(`step ${last}`, width - 6, height - 4);
  [[1, ink.training], [2, ink["held-out"]]].forEach(([column, colour]) => {
    context.beginPath();
    let drawing = false;
    for (const point of history) {
      if (point[column] === null) { drawing = false; continue; }
      context[drawing ? "lineTo" : "moveTo"](across(point[0]), up(point[column]));
      drawing = true;
    }
    context.strokeStyle = colour;
    context.lineWidth = 2;
    context.stroke();
  });
}

// ---- the network ----

const UNIT = 34, GAP = 14, ACROSS = 118;

const make = (parent, name, attributes = {}, text) => {
  const element = parent.appendChild(document.createElementNS(SVG, name));
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
};

// Draw every unit and line once for a network of these sizes; return a function that repaints them with new numbers.
export function buildNetwork(svg, scene, sizes, say) {
  svg.replaceChildren();
  const tallest = Math.max(...sizes), step = UNIT + GAP + 4;
  const short = (text) => text.length > 11 ? text.slice(0, 10) + "\u2026" : text;
  const inputs = scene.inputs.map((input) => input.name);
  const outputs = sizes[sizes.length - 1] === 1 ? [scene.target] : scene.classes;
  // a letter is about 8 wide; the titles of the columns need at least 22
  const margin = (labels) => Math.max(22, 12 + 8 * Math.max(...labels.map((label) => short(label).length)));
  const left = margin(inputs), width = left + (sizes.length - 1) * ACROSS + UNIT + margin(outputs), height = tallest * step + 40;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.minWidth = `${0.7 * width}px`; // if it were smaller, its text could not be read: it scrolls instead
  svg.style.maxWidth = `${1.5 * width}px`;
  const centre = (layer, unit) => [left + UNIT / 2 + layer * ACROSS, 30 + (height - 40) / 2 + (unit - (sizes[layer] - 1) / 2) * step];
  const names = (layer, unit) => layer === 0 ? inputs[unit]
    : layer < sizes.length - 1 ? `hidden ${layer}, unit ${unit + 1}`
      : sizes[layer] === 1 ? `output (${scene.target})` : `output ${scene.classes[unit]}`;
  const lines = [], units = [];
  for (let layer = 1; layer < sizes.length; layer++) {
    for (let i = 0; i < sizes[layer - 1]; i++) for (let j = 0; j < sizes[layer]; j++) {
      const [x1, y1] = centre(layer - 1, i), [x2, y2] = centre(layer, j), middle = (x1 + x2) / 2;
      const d = `M${x1 + UNIT / 2} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2 - UNIT / 2} ${y2}`;
      const path = make(svg, "path", { d, fill: "none" });
      const grab = make(svg, "path", { d, fill: "none", class: "grab" });
      grab.addEventListener("pointerenter", () => say({ layer, i, j }));
      lines.push({ path, layer: layer - 1, i, j });
    }
  }
  sizes.forEach((size, layer) => {
    const title = layer === 0 ? "inputs" : layer < sizes.length - 1 ? `hidden ${layer}` : "output";
    make(svg, "text", { x: centre(layer, 0)[0], y: 14, "text-anchor": "middle" }, title);
    for (let unit = 0; unit < size; unit++) {
      const [x, y] = centre(layer, unit);
      const group = make(svg, "g", { class: "unit", tabindex: 0, role: "img", "aria-label": names(layer, unit) });
      make(group, "rect", { x: x - UNIT / 2, y: y - UNIT / 2, width: UNIT, height: UNIT, rx: 6 });
      const picture = make(group, "image", { x: x - UNIT / 2 + 3, y: y - UNIT / 2 + 3, width: UNIT - 6, height: UNIT - 6, preserveAspectRatio: "none" });
      const value = make(group, "text", { x, y: y + UNIT / 2 + 11, "text-anchor": "middle", class: "value" });
      if (layer === 0) make(group, "text", { x: x - UNIT / 2 - 8, y: y + 4, "text-anchor": "end" }, short(inputs[unit]));
      if (layer === sizes.length - 1) make(group, "text", { x: x + UNIT / 2 + 8, y: y + 4 }, short(outputs[unit]));
      const choose = () => say({ layer, unit });
      for (const event of ["pointerenter", "focus", "click"]) group.addEventListener(event, choose);
      units.push({ group, picture, value, layer, unit });
    }
  });
  return {
    names,
    paint: (snapshot, which) => paintLines(lines, snapshot.layers, which),
    picture: (snapshot) => paintUnits(units, snapshot.layers, scene.inputs),
    values: (trace) => {
      for (const { value, layer, unit } of units) {
        value.textContent = trace ? number(layer === 0 ? trace.x[unit] : trace.layers[layer - 1].a[unit]) : "";
      }
    },
  };
}

function paintLines(lines, layers, which) {
  const ink = colours();
  // A weight of 1 is always 2 pixels wide, so that its growth is visible; the widths of gradients are relative.
  const largest = Math.max(...layers.flatMap((layer) => layer[which].flat()).map((value) => Math.abs(value ?? 0))) || 1;
  for (const { path, layer, i, j } of lines) {
    const value = layers[layer][which][i][j] ?? 0, size = which === "W" ? Math.abs(value) * 2 : Math.abs(value) / largest * 6;
    path.setAttribute("stroke", value < 0 ? ink.negative : ink.positive);
    path.setAttribute("stroke-width", Math.min(0.4 + size, 7).toFixed(2));
    path.setAttribute("stroke-opacity", Math.min(0.25 + size / 4, 0.9).toFixed(2));
  }
}

function paintUnits(units, layers, inputs) {
  const ink = colours(), tones = { low: rgb(ink.negative), middle: rgb(ink.panel), high: rgb(ink.positive) };
  for (const { picture, layer, unit } of units) {
    const levels = bytes(layer ? layers[layer - 1].pictures[unit] : inputs[unit].picture);
    const canvas = image(Math.sqrt(levels.length), (k) => diverging(levels[k] / 255, tones));
    picture.setAttribute("href", canvas.toDataURL());
  }
}
