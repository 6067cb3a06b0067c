// The numbers of the line or neuron that was chosen: each weight and bias with a field and a slider to change it.

import { number } from "./playground_draw.js";

const RANGE = 3; // least end of a slider, which most weights of such a network stay below
const GRAIN = 100; // positions of a slider on each side of 0

// Return where in theta, the vector of all parameters, a weight or the bias (i null) is.
function placeOf(sizes, layer, i, j) {
  let start = 0;
  for (let k = 1; k < layer; k++) start += (sizes[k - 1] + 1) * sizes[k];
  return start + (i === null ? sizes[layer - 1] : i) * sizes[layer] + j;
}

const cell = (parent, name, text) => {
  const made = parent.appendChild(document.createElement(name));
  if (text !== undefined) made.textContent = text;
  return made;
};

/* Fill a table with the parameters that belong to `what`, a unit or a line. `change(at, value)` is called with a place in
 * theta when the user changes one. Return a function that shows the present numbers. */
export function buildEditor(table, sizes, what, change) {
  const { layer } = what, j = what.j ?? what.unit;
  const sources = what.i === undefined ? [null, ...Array(sizes[layer - 1]).keys()] : [what.i];
  table.replaceChildren();
  const head = cell(cell(table, "thead"), "tr"), body = cell(table, "tbody");
  const rows = sources.map((i) => {
    const name = i === null ? `b${layer}[${j}]` : `W${layer}[${i},${j}]`, at = placeOf(sizes, layer, i, j);
    const line = cell(body, "tr");
    cell(line, "th", name).scope = "row";
    const field = cell(cell(line, "td"), "input"), slider = cell(cell(line, "td"), "input");
    field.type = "number";
    field.step = "any";
    field.setAttribute("aria-label", name);
    slider.type = "range";
    slider.setAttribute("aria-label", `${name}, slider`);
    slider.step = "any";
    field.addEventListener("change", () => {
      const value = Number(field.value);
      if (field.value !== "" && Number.isFinite(value)) change(at, value);
    });
    slider.addEventListener("input", () => change(at, Number(slider.value)));
    slider.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[event.key];
      if (!by) return;
      event.preventDefault();
      slider.value = Number(slider.value) + by * Number(slider.max) / GRAIN;
      change(at, Number(slider.value));
    });
    return { i, name, line, field, slider };
  });

  return function show(snapshot, trace, { l1, l2 }) {
    const numbers = snapshot.layers[layer - 1], one = trace?.layers[layer - 1];
    const penalised = l1 > 0 || l2 > 0;
    head.replaceChildren();
    for (const text of ["", "value", "", "dC/d of it", ...(penalised ? ["penalty adds"] : []), ...(one ? [`dL/d of it, row ${trace.row}`] : [])]) {
      cell(head, "th", text).scope = "col";
    }
    for (const { i, name, line, field, slider } of rows) {
      const of = (given, weights, biases) => i === null ? given[biases][j] : given[weights][i][j], value = of(numbers, "W", "b");
      if (document.activeElement !== field) field.value = value === null ? "" : +value.toPrecision(4);
      if (!slider.matches(":active")) {
        const far = Math.max(RANGE, slider.max, Math.abs(value ?? 0));
        slider.max = far;
        slider.min = -far;
        slider.value = value ?? 0;
      }
      while (line.children.length > 3) line.lastChild.remove();
      const derivative = (which) => { cell(line, "td", number(which)).title = name; };
      derivative(of(numbers, "dW", "db"));
      // the penalty of a weight is l1 |w| + l2/2 w^2; biases have none
      if (penalised) derivative(i === null || value === null ? 0 : l1 * Math.sign(value) + l2 * value);
      if (one) derivative(of(one, "dW", "db"));
    }
  };
}
