"use strict";
// Plays the two passes on the drawing, shows the chain rule of what is chosen, and asks for numbers in the worksheet.
// What a step has not reached is not there: neither to see nor to point at, to focus, or for a screen reader.
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const svg = document.querySelector("#drawing svg");
const marked = [...svg.querySelectorAll("[data-step]")];
const LAST = data.steps.length - 1;
const PAUSE = 1400; // milliseconds of a step: time to read its line
const LEGIBLE = 0.72; // of the drawing's own size, whose letters have 12 px: a smaller one scrolls at its own size
const LARGEST = 1.75, PROJECTED = 3; // a small network is not blown up beyond that; on the full screen it may be
const ZOOM = 1.25; // a step of the buttons
const state = {
  step: LAST, row: 0, number: null, path: 0, sheet: false, known: new Set(), embed: false, printing: false,
  timer: null, zoom: null, whole: false,
};

// ---- numbers, by their names: z1[0], W1[0,1], dz1[0] for dL/dz1[0], g1[0] for g'(z1[0]) ----

function make(name, words, ...kinds) {
  const element = document.createElement(name);
  if (words !== undefined) element.textContent = words; // never as HTML: names come from the user's table
  element.classList.add(...kinds);
  return element;
}

const NOT_FINITE = { nan: NaN, inf: Infinity, "-inf": -Infinity }; // JSON has no such numbers
const finite = (value) => (typeof value === "string" ? NOT_FINITE[value] : value);

function shown(value, digits = 4) { // as in the table that Python prints
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  if (value === 0 || (exponent >= -4 && exponent < digits)) return String(Number(value.toPrecision(digits)) + 0);
  return `${Number(mantissa)}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}
const exact = (value) => (Number.isFinite(value) ? String(value + 0) : shown(value));

const row = () => data.rows[state.row];
const valueOf = (key) => finite(row()?.numbers[key] ?? data.parameters?.[key]);
const layerOf = (key) => parseInt(key.match(/\d+/)[0], 10);
const called = (key) => (key[0] === "g" ? `g'(z${key.slice(1)})` : key[0] === "d" ? `dL/${key}` : key);
const keyOf = (name) => (name.startsWith("g'") ? "g" + name.slice(4, -1) : name.replace("dL/", ""));
const sign = (value) => (value > 0 ? "plus" : value < 0 ? "minus" : "none");

function stepOf(key) { // the step that computes a number; what is given is there from the first on
  const name = key.slice(key.indexOf(">") + 1);
  return data.computed[name.slice(0, (name + "[").indexOf("["))] ?? 0;
}

// In the worksheet. A slope g' and the derivative for a bias are not asked for: they come with dL/dz.
const withKnown = (key) => (/^(g|db)/.test(key) ? key.replace(/^(g|db)/, "dz") : key);
const asked = new Set(data.sheet.map((question) => question.key));
const hidden = (key) => state.sheet && asked.has(withKnown(key)) && !state.known.has(withKnown(key));
const now = () => (state.printing ? LAST : state.step);
const reached = (key) => (state.sheet ? !hidden(key) : stepOf(key) <= now());

// ---- the drawing ----

const usualHint = () => (state.sheet ? "Here a number tells nothing but itself." : data.hint);

function tell(element) { // what is pointed at, with all its digits
  const found = element.closest("[data-key], [data-quantity]"), key = found && (found.dataset.key ?? found.dataset.quantity);
  const words = [];
  if (key && data.names[key]) words.push(data.names[key]);
  for (const each of key ? [key, "d" + key] : []) {
    const value = valueOf(each);
    if (value === undefined || !reached(each)) continue;
    const [from, to] = each.split(">");
    words.push(`${to ? `d${to}/d${from}` : called(each)} = ${exact(value)}`);
  }
  at("hint").textContent = words.join(", ") || usualHint();
}

function drawNumber(element) {
  const key = element.dataset.key, value = valueOf(key), part = element.querySelector(".value"), on = element.closest(".on");
  const there = value !== undefined && (state.sheet || reached(key));
  (on ?? element).classList.toggle("later", !there);
  part.textContent = hidden(key) ? "?" : there ? shown(value) : "";
  const plate = on?.querySelector(".plate");
  if (plate) {
    const width = 4 + 7.25 * part.textContent.length; // as in layout.py
    plate.setAttribute("width", width);
    plate.setAttribute("x", Number(element.getAttribute("x")) + 2 - width);
  }
  if (key[0] === "d") {
    element.classList.remove("plus", "minus", "none");
    element.classList.add(hidden(key) || !there ? "none" : sign(value));
  }
  if (!element.dataset.quantity) return;
  if (there && !state.sheet) {
    element.setAttribute("role", "button");
    element.setAttribute("tabindex", 0);
    element.setAttribute("aria-label", `${called(key)} = ${shown(value)}`);
  } else for (const name of ["role", "tabindex", "aria-label"]) element.removeAttribute(name);
}

function drawLine(element, largest) {
  const key = element.dataset.gradient, value = reached(key) ? valueOf(key) : 0;
  element.classList.remove("plus", "minus", "none");
  element.classList.add(sign(value));
  const most = key.startsWith("dW") ? largest : Math.max(...lastSlopes.map((each) => Math.abs(valueOf(each))));
  const share = Math.min(1, Math.abs(value) / most);
  element.setAttribute("stroke-width", 1 + (share > 0 ? 5 * Math.sqrt(share) : 0));
}
const lastSlopes = [...svg.querySelectorAll('path[data-gradient^="da"]')].map((path) => path.dataset.gradient);

function draw() {
  const focused = document.activeElement;
  if (row()) {
    const sizes = Object.entries(row().numbers).filter(([key]) => key.startsWith("dW")).map(([, value]) => Math.abs(finite(value)));
    const largest = Math.max(0, ...sizes.filter(Number.isFinite));
    svg.setAttribute("aria-label", `Computational graph of row ${row().name}`);
    for (const element of svg.querySelectorAll("text[data-key]")) drawNumber(element);
    for (const element of svg.querySelectorAll("path[data-gradient]")) drawLine(element, largest);
    for (const element of svg.querySelectorAll("path[data-local]")) element.classList.toggle("absent", valueOf(element.dataset.local) === undefined);
  }
  for (const element of marked) {
    const step = Number(element.dataset.step), group = element.closest(".on") ?? element;
    if (!element.dataset.key) group.classList.toggle("later", !state.sheet && step > now());
    element.classList.toggle("now", !state.sheet && !state.printing && step === state.step);
  }
  const [title, how] = data.steps[state.step];
  at("caption").children[0].textContent = state.sheet ? "Worksheet" : `${state.step + 1}/${data.steps.length} ${title}`;
  at("caption").children[1].textContent = state.sheet ? "compute each number by hand, in the order of the list below" : how;
  at("hint").textContent = usualHint();
  at("legend").textContent = data.legend.replace("ROW", row()?.name);
  for (const [id, off] of [["first", state.step === 0], ["back", state.step === 0], ["next", state.step === LAST], ["last", state.step === LAST]]) at(id).disabled = off || state.sheet;
  at("play").disabled = state.sheet;
  show();
  if (focused && focused !== document.body && !focused.getClientRects().length) at("drawing").focus({ preventScroll: true });
  follow();
  address();
}

const calm = matchMedia("(prefers-reduced-motion: reduce)");
function follow() { // a narrow screen shows a part of the drawing
  const now = svg.querySelector("text.now");
  if (!now || state.whole) return;
  const frame = at("drawing").getBoundingClientRect(), place = now.getBoundingClientRect();
  if (place.left >= frame.left && place.right <= frame.right) return;
  const left = at("drawing").scrollLeft + place.left - frame.left - frame.width / 4;
  at("drawing").scrollTo({ left, behavior: calm.matches ? "auto" : "smooth" });
}

function fit() { // the drawing is as wide as its frame, but legible: a larger one scrolls
  const { width, height } = svg.viewBox.baseVal, frame = at("drawing");
  const space = frame.clientWidth - 2 * parseFloat(getComputedStyle(frame).paddingLeft);
  let scale = space / width;
  const full = Boolean(document.fullscreenElement);
  if (full) scale = Math.min(scale, (innerHeight - at("caption").getBoundingClientRect().bottom - 40) / height);
  if (!state.whole) scale = (scale < LEGIBLE ? 1 : Math.min(full ? PROJECTED : LARGEST, scale)) * (state.zoom ?? 1);
  svg.style.width = `${Math.floor(width * scale)}px`;
  svg.style.height = "auto";
}

function zoom(factor) {
  state.zoom = factor && Math.max(0.25, Math.min(6, (state.zoom ?? 1) * factor));
  state.whole = !factor && !state.whole;
  at("whole").setAttribute("aria-pressed", String(state.whole));
  fit();
}

function go(step) {
  state.step = Math.max(0, Math.min(LAST, step));
  if (state.step === LAST) stop();
  draw();
}

function stop() {
  clearInterval(state.timer);
  state.timer = null;
  at("play").textContent = "Play";
  at("play").setAttribute("aria-pressed", "false");
}

function play() {
  if (state.timer) return stop();
  if (state.step === LAST) go(0);
  at("play").textContent = "Pause";
  at("play").setAttribute("aria-pressed", "true");
  state.timer = setInterval(() => go(state.step + 1), PAUSE);
}

function light(path) {
  for (const element of svg.querySelectorAll(".way")) element.classList.remove("way");
  svg.classList.toggle("lit", Boolean(path));
  if (!path) return;
  const edges = new Set(path.factors.map((factor) => factor.edge));
  for (const element of svg.querySelectorAll(".edge")) element.classList.toggle("way", edges.has(element.dataset.edge));
}

// ---- the chain rule, from the numbers of the page ----

const leaving = new Map(), ofWeight = new Map();
for (const [source, target, formula, weight] of data.edges ?? []) {
  const edge = { source, target, formula, key: weight || `${source}>${target}` };
  for (const [map, key] of [[leaving, source], [ofWeight, weight]]) map.set(key, [...(map.get(key) ?? []), edge]);
}

function successors(node) { // what a number enters, with the local derivative and its formula
  if (node === "L") return [];
  const place = node.slice(1);
  if (node[0] === "z") return [["a" + place, valueOf("g" + place), data.slopes[layerOf(node) - 1]]];
  const found = (leaving.get(node) ?? []).map((edge) => [edge.target, valueOf(edge.key), edge.formula]);
  if (node[0] === "a" && layerOf(node) === data.slopes.length) found.push(["L", valueOf("da" + place), data.loss_slope]);
  return found.filter(([, value]) => value !== undefined);
}

function starts(quantity) {
  if (/^[xza]/.test(quantity)) return successors(quantity);
  const given = row().starts[quantity];
  if (given) return given.map(([target, formula, value]) => [target, finite(value), formula]);
  return ofWeight.get(quantity).filter((edge) => valueOf(edge.source) !== undefined).map((edge) => [edge.target, valueOf(edge.source), edge.source]);
}

function explained(quantity) {
  if (data.explained[quantity]) return data.explained[quantity];
  const all = new Map([["L", { total: 1, most: 1, count: 1 }]]);
  const onward = (edges) => { // the sum over all paths, the largest product of one, and their number
    const found = { total: 0, most: 0, count: 0 };
    for (const [target, value] of edges) {
      if (!all.has(target)) all.set(target, onward(successors(target)));
      const { total, most, count } = all.get(target), size = Math.abs(value) * most;
      found.total += value * total;
      found.most = Math.max(found.most, Number.isNaN(size) ? Infinity : size);
      found.count += count;
    }
    return found;
  };
  const first = starts(quantity), { total, count } = onward(first);
  // Best first: the queue is ordered by the largest product that a path can still reach; of equal ones by its length.
  const queue = [{ node: quantity, product: 1, reach: Infinity, factors: [] }], paths = [];
  while (queue.length && paths.length < data.most_paths) {
    queue.sort((p, q) => p.reach - q.reach || p.factors.length - q.factors.length);
    const path = queue.pop();
    if (path.node === "L") paths.push(path);
    for (const [target, value, formula] of path.factors.length ? successors(path.node) : first) {
      const size = Math.abs(path.product * value) * all.get(target).most;
      const weighted = /^[Wb]/.test(path.node) && formula !== "1" ? `${formula}>${target}` : `${path.node}>${target}`;
      const factor = { symbol: `d${target}/d${path.node}`, formula, value, edge: weighted };
      queue.push({ node: target, product: path.product * value, reach: Number.isNaN(size) ? Infinity : size, factors: [...path.factors, factor] });
    }
  }
  const others = count - paths.length;
  return {
    symbol: `dL/d${quantity}`, total, count, gradient: valueOf("d" + quantity), check: finite(row().checks[quantity]),
    rest: total - paths.reduce((sum, path) => sum + path.product, 0),
    more: others ? `the other ${others} path${others > 1 ? "s" : ""} together` : "",
    paths: paths.map(({ product, factors }) => ({ product, factors, words: [quantity, ...factors.map((factor) => factor.symbol.slice(1).split("/")[0])].join(" \u2192 ") })),
  };
}

// ---- the details of what is chosen ----

function table(rows, ...kinds) {
  const result = make("table", undefined, ...kinds);
  for (const row of rows) {
    const line = result.insertRow();
    for (const cell of row) line.insertCell().textContent = cell;
  }
  return result;
}

function open(title, ...parts) {
  at("detail").hidden = false;
  at("detail").children[0].children[0].textContent = title;
  at("detail").children[1].replaceChildren(...parts);
}

function computed(quantity) { // the formula of the number, and the numbers in it
  const question = data.sheet.find((each) => each.key === quantity);
  if (!question) return [];
  const [formula] = question.formula.split(", ");
  const inserted = formula.replace(/dL\/d\w+\[[\d,]+\]|g'\(z\d+\[\d+\]\)|[xzaWby]\d*\[[\d,]+\]/g, (name) => {
    const value = valueOf(keyOf(name));
    return value === undefined ? name : value < 0 ? `(${shown(value)})` : shown(value);
  }).replace(/(?<=[\d)]) (?=[\d(])/g, " \u00d7 ");
  const lines = [[called(quantity), "= " + question.formula], ["", "= " + inserted], ["", "= " + exact(valueOf(quantity))]];
  return [table(inserted === formula ? [lines[0], lines[2]] : lines)];
}

function ofChain(quantity) {
  const found = explained(quantity);
  const parts = found.paths.map((path, place) => {
    const block = make("div", undefined, "path");
    const button = make("button", `${path.words} = ${shown(finite(path.product))}`);
    button.setAttribute("aria-pressed", String(place === state.path));
    button.addEventListener("click", () => { state.path = place; show(); at("detail").querySelectorAll(".path button")[place].focus(); });
    block.append(button, table(path.factors.map((factor) => [factor.symbol, "= " + factor.formula, "= " + shown(finite(factor.value))])));
    return block;
  });
  const rows = [[`sum over all paths (${found.count.toLocaleString("en")})`, exact(finite(found.total))], ["the engine's gradient", exact(finite(found.gradient))]];
  if (found.more) rows.unshift([found.more, exact(finite(found.rest))]);
  if (data.checked) rows.push(["finite difference", found.check === null ? "none: the loss has a corner here" : exact(found.check)]);
  const mean = finite(data.mean?.[quantity]);
  if (mean !== undefined) rows.push([`dC/d${quantity}, ${data.of_cost}`, exact(mean)]);
  parts.push(table(rows, "sums"));
  if (!data.checked) parts.push(make("p", `A network of this size is not checked by finite differences here; t.explain("${quantity}"${row() ? `, row=${row().name}` : ""}) in Python does so.`, "hint"));
  light(found.paths[state.path]);
  return [make("h3", `${found.symbol} = ${shown(finite(found.total))}`), make("p", data.rows.length ? `the derivative of L, the loss of row ${row().name}: a sum over paths of products of local derivatives` : data.chain, "hint"), ...parts];
}

function ofLayer(k) {
  const { title, table: rows, quantities, step } = data.layers[k];
  const parts = [table(rows.filter((each) => each[3] <= now()).map((each) => each.slice(0, 3)))];
  for (const quantity of step <= now() ? quantities : []) {
    const button = make("button", `chain rule of ${quantity}`);
    button.addEventListener("click", () => choose(quantity));
    parts.push(button, " ");
  }
  open(title, ...parts);
}

function show() { // the details, as far as the step has come
  const number = state.sheet ? null : state.number;
  for (const element of svg.querySelectorAll(".chosen")) element.classList.remove("chosen");
  light(null);
  at("detail").hidden = true;
  if (number === null) return;
  const layer = number.match(/^layer(\d+)$/);
  if (layer && data.layers[layer[1]]) return ofLayer(Number(layer[1]));
  if (data.explained[number]) {
    if (data.explained[number].step <= now()) open(number, ...ofChain(number));
    return;
  }
  const gradient = "d" + number;
  if (!/^[xzaWb]/.test(number) || valueOf(number) === undefined || valueOf(gradient) === undefined || !reached(number)) return;
  for (const element of svg.querySelectorAll(`text[data-quantity="${CSS.escape(number)}"]`)) element.classList.add("chosen");
  const parts = computed(number);
  if (!reached(gradient)) parts.push(make("p", `${called(gradient)} is computed in step ${stepOf(gradient) + 1}; its chain rule is here from then on.`, "hint"));
  else parts.push(...computed(gradient), ...ofChain(number));
  open(`${number} = ${shown(valueOf(number))}`, ...parts);
}

function choose(number) {
  if (state.sheet) return; // it would tell
  state.number = number;
  state.path = 0;
  show();
  address();
}

const chosenBy = (element) => {
  const found = element.closest("[data-quantity], [data-layer]");
  return found && (found.dataset.layer === undefined ? found.dataset.quantity : `layer${found.dataset.layer}`);
};

// ---- the worksheet ----

// Right to the digits that the page shows, with half a unit of the third for numbers that were rounded on the way.
const isRight = (typed, value) => Math.abs(typed - value) <= 0.005 * Math.abs(value) + 5e-7;

function score() {
  at("score").textContent = `${state.known.size} of ${data.sheet.length} right. Each number is asked for in the order in which it is computed.`;
}

function worksheet(on) {
  stop();
  state.sheet = on;
  state.number = null;
  state.known.clear();
  at("worksheet").setAttribute("aria-pressed", String(on));
  at("sheet").hidden = !on;
  const list = at("sheet").querySelector("ol");
  list.replaceChildren();
  for (const question of on ? data.sheet : []) {
    const item = make("li"), label = make("label", `${called(question.key)} = ${question.formula} = `, "value");
    const input = make("input"), verdict = make("span");
    input.inputMode = "decimal";
    input.autocomplete = "off";
    input.dataset.answer = question.key;
    verdict.setAttribute("role", "status");
    const check = () => {
      const typed = input.value.trim().replace(",", "."), right = typed !== "" && isRight(Number(typed), valueOf(question.key));
      if (typed === "") return;
      if (right) state.known.add(question.key); else state.known.delete(question.key);
      verdict.className = right ? "right" : "wrong";
      verdict.textContent = right ? " right" : Number.isNaN(Number(typed)) ? " that is no number" : " not yet: try again";
      score();
      draw();
    };
    input.addEventListener("change", check);
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      check();
      if (state.known.has(question.key)) item.nextElementSibling?.querySelector("input").focus();
    });
    label.append(input);
    item.append(label, verdict);
    list.append(item);
  }
  score();
  draw();
}

// ---- the address, which a teacher can send: #step=4&row=1&number=W1[0,1], #worksheet, and embed in another page ----

const INLINE = location.protocol === "about:"; // in a notebook: a frame whose page has no address of its own

function address() {
  if (INLINE) return;
  const parts = state.embed ? ["embed"] : [];
  if (state.sheet) parts.push("worksheet");
  else if (state.step !== LAST) parts.push(`step=${state.step + 1}`);
  if (state.row) parts.push(`row=${row().name}`);
  if (state.number) parts.push(`number=${state.number}`);
  const hash = parts.length ? "#" + parts.join("&") : "";
  if (decodeURIComponent(location.hash) !== hash) history.replaceState(null, "", hash || location.pathname + location.search);
  at("alone").href = location.href.replace(/embed&?/, "");
}

function arrive() {
  const given = new URLSearchParams(location.hash.slice(1)), step = Number(given.get("step"));
  state.embed = given.has("embed") || INLINE;
  document.documentElement.classList.toggle("embed", state.embed);
  state.row = Math.max(0, data.rows.findIndex((each) => each.name === given.get("row")));
  at("row").value = state.row;
  state.step = Number.isInteger(step) && step > 0 ? Math.min(step - 1, LAST) : LAST;
  worksheet(given.has("worksheet") && data.sheet.length > 0);
  if (given.get("number")) choose(given.get("number"));
}

// A frame is as tall as the page in it, which can only tell its height to a page of another origin, as files are.
function tall() {
  if (parent === window) return;
  const height = Math.ceil(document.body.getBoundingClientRect().height);
  if (INLINE && frameElement) frameElement.style.height = `${height}px`;
  parent.postMessage({ fastpropTrace: height }, "*");
}

// ---- where it all begins ----

for (const [id, step] of [["first", () => 0], ["back", () => state.step - 1], ["next", () => state.step + 1], ["last", () => LAST]]) {
  at(id).addEventListener("click", () => { stop(); go(step()); });
}
at("play").addEventListener("click", play);
at("worksheet").addEventListener("click", () => worksheet(!state.sheet));
at("smaller").addEventListener("click", () => zoom(1 / ZOOM));
at("larger").addEventListener("click", () => zoom(ZOOM));
at("whole").addEventListener("click", () => zoom(null));
at("full").addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()));
at("close").addEventListener("click", () => choose(null));
at("row").addEventListener("change", () => {
  state.row = Number(at("row").value);
  if (state.sheet) worksheet(true); else draw();
});
svg.addEventListener("click", (event) => { const chosen = chosenBy(event.target); if (chosen) choose(chosen); });
svg.addEventListener("mouseover", (event) => tell(event.target));
svg.addEventListener("mouseleave", () => { at("hint").textContent = usualHint(); });
at("drawing").addEventListener("focusin", (event) => tell(event.target)); // an svg that listens would take the focus itself
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, select") || event.ctrlKey || event.altKey || event.metaKey) return;
  const key = event.key, steps = { ArrowRight: state.step + 1, ArrowLeft: state.step - 1, Home: 0, End: LAST };
  if (key in steps) { stop(); if (!state.sheet) go(steps[key]); }
  else if (key === "Escape" && state.number) choose(null);
  else if ((key === "Enter" || key === " ") && svg.contains(event.target) && chosenBy(event.target)) choose(chosenBy(event.target));
  else return;
  event.preventDefault();
});
matchMedia("print").addEventListener("change", (event) => { state.printing = event.matches; draw(); }); // the finished graph
addEventListener("hashchange", arrive);
addEventListener("message", (event) => {
  if (event.source === parent && typeof event.data?.fastpropTheme === "string") document.documentElement.dataset.theme = event.data.fastpropTheme;
});
document.addEventListener("fullscreenchange", fit);
new ResizeObserver(fit).observe(at("drawing"));
new ResizeObserver(tall).observe(document.body);
data.rows.forEach((each, k) => {
  const option = make("option", each.name);
  option.value = k;
  at("row").append(option);
});
for (const group of svg.querySelectorAll("g[data-layer]")) {
  group.setAttribute("role", "button");
  group.setAttribute("tabindex", 0);
}
at("rows").hidden = data.rows.length < 2;
at("worksheet").hidden = !data.sheet.length;
at("full").hidden = !document.fullscreenEnabled;
at("alone").hidden = INLINE;
arrive();
fit();
