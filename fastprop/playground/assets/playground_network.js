// Draws the network: a picture of what each neuron says over the plane, and a line for each weight.

import { colours, number, unitPicture } from "./playground_draw.js";

const SVG = "http://www.w3.org/2000/svg";
// Pixels: the largest and the smallest picture, which is what a finger needs with the space around it, the space between
// two below each other, with a number or a name between them, the row of titles, and the tallest drawing.
const UNIT = 36, LEAST = 20, GAP = 20, NARROW_GAP = 17, TITLES = 26, TALLEST = 620;
const LETTER = 7.5; // pixels of a letter on average
const NUMBER = 48; // pixels of a number of four digits with sign and point

const make = (parent, name, attributes = {}, text) => {
  const element = parent.appendChild(document.createElementNS(SVG, name));
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
};
const short = (text, most) => text.length > most ? text.slice(0, most - 1) + "\u2026" : text;
const sameUnit = (one, other) => one && other && one.layer === other.layer && one.unit === other.unit;

// Return the number of units of each layer, that of the inputs first.
export const sizesOf = (scene, snapshot) => [scene.inputs.length, ...snapshot.layers.map((layer) => layer.b.length)];

// Return the name of a unit for people: an input's own, otherwise a1[0] and, of an output, its class.
export function unitName(scene, sizes, layer, unit) {
  if (layer === 0) return scene.inputs[unit].name;
  const symbol = `a${layer}[${unit}]`;
  if (layer < sizes.length - 1) return symbol;
  return `${symbol} (${sizes[layer] === 1 ? scene.target : `${scene.target} ${scene.classes[unit]}`})`;
}

/* Draw every unit and line for a width in pixels. `told` has the functions point(what or null) for the mouse, choose(what),
 * and open(what) for the Enter key; `what` is a unit, {layer, unit}, or a line from unit i of the layer before,
 * {layer, i, j}. The functions of the result repaint the drawing with new numbers. */
export function buildNetwork(svg, scene, sizes, width, told) {
  const last = sizes.length - 1, tallest = Math.max(...sizes);
  const inputs = scene.inputs.map(({ name }) => name), outputs = sizes[last] === 1 ? [scene.target] : scene.classes;
  // Names stand beside inputs and outputs if that leaves lines long enough to tell them apart; otherwise below them.
  const side = (labels) => 12 + LETTER * Math.max(...labels.map((label) => Math.min(label.length, 11)));
  const beside = (width - side(inputs) - side(outputs)) / sizes.length > NUMBER + 6;
  const [left, right] = beside ? [side(inputs), side(outputs)] : [8, 8];
  const gap = beside ? GAP : NARROW_GAP;
  const unit = Math.max(LEAST, Math.min(UNIT, (TALLEST - TITLES) / tallest - gap, 0.5 * (width - left - right) / sizes.length));
  // not more than four times a unit apart, so that a small network does not fall apart
  const across = last ? Math.min((width - left - right - unit) / last, 4.5 * unit) : 0, pitch = unit + gap;
  const start = (width - (last * across + unit + left + right)) / 2 + left;
  const height = TITLES + tallest * pitch;
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  const centre = (layer, k) => [start + unit / 2 + layer * across, TITLES + unit / 2 + (tallest - 1) * pitch / 2 + (k - (sizes[layer] - 1) / 2) * pitch];
  const name = (layer, k) => unitName(scene, sizes, layer, k);

  const lines = [], units = [];
  const lineGroup = make(svg, "g", { class: "lines", "aria-hidden": "true" });
  for (let layer = 1; layer <= last; layer++) {
    for (let i = 0; i < sizes[layer - 1]; i++) for (let j = 0; j < sizes[layer]; j++) {
      const [x1, y1] = centre(layer - 1, i), [x2, y2] = centre(layer, j), middle = (x1 + x2) / 2;
      const d = `M${x1 + unit / 2} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2 - unit / 2} ${y2}`;
      const grab = make(lineGroup, "path", { d, fill: "none", class: "grab" });
      const path = make(lineGroup, "path", { d, fill: "none", class: "weight" });
      const what = { layer, i, j };
      grab.addEventListener("pointerenter", () => told.point(what));
      grab.addEventListener("pointerleave", () => told.point(null));
      grab.addEventListener("click", () => told.choose(what));
      lines.push({ path, grab, ...what });
    }
  }
  const title = (layer) => layer === 0 ? ["inputs", "x"] : layer < last ? [`hidden ${layer}`, `a${layer}`] : ["output", `a${layer}`];
  sizes.forEach((size, layer) => {
    make(svg, "text", { x: centre(layer, 0)[0], y: 14, "text-anchor": "middle" }, title(layer)[across > 8 * LETTER ? 0 : 1]);
    for (let k = 0; k < size; k++) {
      const [x, y] = centre(layer, k), what = { layer, unit: k };
      const group = make(svg, "g", { class: "unit", tabindex: -1, role: "button", "aria-label": name(layer, k) });
      make(group, "rect", { x: x - unit / 2, y: y - unit / 2, width: unit, height: unit, rx: 6 });
      const picture = make(group, "image", { x: x - unit / 2 + 3, y: y - unit / 2 + 3, width: unit - 6, height: unit - 6, preserveAspectRatio: "none" });
      const value = beside ? make(group, "text", { x, y: y + unit / 2 + 13, "text-anchor": "middle", class: "value" }) : null;
      make(group, "text", { x: x + unit / 2 - 1, y: y - unit / 2 + 9, "text-anchor": "middle", class: "mark" });
      const label = layer === 0 ? inputs[k] : layer === last ? outputs[k] : null;
      const at = beside ? { x: layer ? x + unit / 2 + 8 : x - unit / 2 - 8, y: y + 4, "text-anchor": layer ? "start" : "end" }
        : { x, y: y + unit / 2 + 11, "text-anchor": "middle", class: "below" };
      if (label !== null) make(make(group, "text", at, short(label, beside ? 11 : Math.max(3, Math.floor(across / 6)))), "title", {}, label);
      group.addEventListener("pointerenter", () => told.point(what));
      group.addEventListener("pointerleave", () => told.point(null));
      group.addEventListener("focus", () => told.choose(what));
      group.addEventListener("click", () => told.choose(what));
      group.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") told.open(what);
        else if (!walk(event.key, layer, k)) return;
        event.preventDefault();
        event.stopPropagation();
      });
      units.push({ group, picture, value, mark: group.querySelector(".mark"), ...what });
    }
  });

  // One unit is reached by the tab key, the others from it by the arrow keys.
  const find = (what) => units.find((one) => sameUnit(one, what));
  const reachByTab = (what) => units.forEach((one) => one.group.setAttribute("tabindex", sameUnit(one, what) ? 0 : -1));
  const walk = (key, layer, k) => {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key] ?? [0, 0];
    const to = Math.min(Math.max(layer + dx, 0), last);
    const next = find({ layer: to, unit: Math.min(Math.max(k + dy, 0), sizes[to] - 1) });
    if (dx || dy) next.group.focus();
    return dx || dy;
  };
  reachByTab({ layer: Math.min(1, last), unit: 0 });

  return {
    width,
    sizes,
    name,
    // Mark a unit or line as chosen; null for none.
    choose(what) {
      for (const one of units) one.group.classList.toggle("chosen", Boolean(sameUnit(one, what)));
      for (const { grab, layer, i, j } of lines) {
        grab.classList.toggle("chosen", what !== null && layer === what.layer && i === what.i && j === what.j);
      }
      if (find(what)) reachByTab(what);
    },
    focus: (what) => find(what)?.group.focus(),
    paint: (layers, which) => paintLines(lines, layers, which, Math.min(1, across / (2 * UNIT))),
    picture(layers) {
      const ink = colours();
      for (const { picture, layer, unit: k } of units) {
        picture.setAttribute("href", unitPicture(layer ? layers[layer - 1].pictures[k] : scene.inputs[k].picture, ink).toDataURL());
      }
    },
    // Show the numbers of a trace below the units; null for none.
    values(trace) {
      for (const { value, layer, unit: k } of units) {
        if (value) value.textContent = trace ? number(layer ? trace.layers[layer - 1].a[k] : trace.x[k]) : "";
      }
    },
    // Mark units that something is wrong with, by their warnings.
    warn(warnings) {
      for (const { group, mark, layer, unit: k } of units) {
        const wrong = warnings.filter(({ units: marked }) => marked.some((one) => one.layer === layer && one.unit === k)).map(({ kind }) => kind);
        mark.textContent = wrong.length ? "!" : "";
        group.classList.toggle("wrong", wrong.length > 0);
        group.setAttribute("aria-label", [name(layer, k), ...wrong].join(", "));
      }
    },
  };
}

// A weight of 1 is always 2 pixels wide, less by `scale` in a narrow drawing, so that its growth is visible; the widths of
// gradients are relative.
function paintLines(lines, layers, which, scale) {
  const ink = colours();
  const far = Math.max(...layers.flatMap((layer) => layer[which].flat()).map((value) => Math.abs(value ?? 0))) || 1;
  for (const { path, layer, i, j } of lines) {
    const value = layers[layer - 1][which][i][j] ?? 0, size = which === "W" ? Math.abs(value) * 2 : Math.abs(value) / far * 6;
    path.setAttribute("stroke", value < 0 ? ink.negative : ink.positive);
    path.setAttribute("stroke-width", (scale * Math.min(0.6 + size, 7)).toFixed(2));
    path.setAttribute("stroke-dasharray", value < 0 ? "5 3" : "none");
  }
}
