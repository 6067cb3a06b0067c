"use strict";
// Plays the two passes on the drawing, shows the chain rule of what is chosen, and asks for numbers in the worksheet.
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const svg = document.querySelector("#drawing svg");
const marked = [...svg.querySelectorAll("[data-step]")];
const PAUSE = 1400; // milliseconds of a step: time to read its line
const state = { step: data.steps.length - 1, row: 0, number: null, embed: false, timer: null, sheet: false, known: new Set() };

// ---- small parts ----

function make(name, words, ...kinds) {
  const element = document.createElement(name);
  if (words !== undefined) element.textContent = words; // never as HTML: names come from the user's table
  element.classList.add(...kinds);
  return element;
}
const shown = (value) => (typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value));
const numbers = () => (data.rows.length ? data.rows[state.row] : { numbers: {}, explained: {} });
const sign = (value) => (value > 0 ? "plus" : value < 0 ? "minus" : "none");
const valueOf = (key) => numbers().numbers[key] ?? data.numbers[key];
const asked = (key) => data.sheet.some((question) => question.key === key);

// ---- the drawing ----

// In the worksheet; a slope g' is not asked for by itself: it comes with dz.
const hidden = (key) => state.sheet && (key[0] === "g" ? !state.known.has("dz" + key.slice(1)) : asked(key) && !state.known.has(key));

function tell(element) { // what is pointed at, with all its digits
  const found = element.closest("[data-key], [data-quantity]"), key = found && (found.dataset.key ?? found.dataset.quantity);
  const words = [];
  if (key && !hidden(key) && typeof valueOf(key) === "number") words.push(`${key[0] === "g" ? `g'(z${key.slice(1)})` : key} = ${valueOf(key)}`);
  if (key && !hidden("d" + key) && valueOf("d" + key) !== undefined) words.push(`dL/d${key} = ${valueOf("d" + key)}`);
  at("hint").textContent = words.join(", ") || data.hint;
}

function draw() {
  const largest = Math.max(0, ...Object.entries(numbers().numbers).filter(([k]) => k.startsWith("dW")).map(([, v]) => Math.abs(v)));
  for (const element of svg.querySelectorAll("text[data-key]")) {
    const key = element.dataset.key, value = valueOf(key);
    if (value === undefined) continue;
    element.textContent = (element.dataset.label ? element.dataset.label + " " : "") + (hidden(key) ? "?" : shown(value));
    if (element.classList.contains("number") && key.startsWith("d")) {
      element.classList.remove("plus", "minus", "none");
      element.classList.add(hidden(key) ? "none" : sign(value));
    }
  }
  for (const element of svg.querySelectorAll("path[data-gradient]")) {
    const key = element.dataset.gradient, value = hidden(key) ? 0 : valueOf(key);
    element.classList.remove("plus", "minus", "none");
    element.classList.add(sign(value));
    element.setAttribute("stroke-width", 1 + (largest ? 5 * Math.sqrt(Math.min(1, Math.abs(value) / largest)) : 0));
  }
  for (const element of marked) {
    const step = Number(element.dataset.step);
    element.classList.toggle("later", !state.sheet && step > state.step);
    element.classList.toggle("now", !state.sheet && step === state.step);
  }
  const [title, how] = data.steps[state.step];
  at("caption").children[0].textContent = `${state.step + 1}/${data.steps.length} ${title}`;
  at("caption").children[1].textContent = how;
  follow();
}

function follow() { // a narrow screen shows a part of the drawing
  const now = svg.querySelector("text.now");
  if (!now) return;
  const frame = at("drawing").getBoundingClientRect(), place = now.getBoundingClientRect();
  if (place.left < frame.left || place.right > frame.right) at("drawing").scrollLeft += place.left - frame.left - frame.width / 4;
}

function go(step) {
  state.step = Math.max(0, Math.min(data.steps.length - 1, step));
  if (state.step === data.steps.length - 1) stop();
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
  if (state.step === data.steps.length - 1) go(0);
  at("play").textContent = "Pause";
  at("play").setAttribute("aria-pressed", "true");
  state.timer = setInterval(() => go(state.step + 1), PAUSE);
}

function light(path) {
  for (const element of svg.querySelectorAll(".way")) element.classList.remove("way");
  svg.classList.toggle("lit", Boolean(path));
  if (!path) return;
  const edges = new Set(path.factors.map((factor) => factor.edge)), weight = path.factors[0].weight;
  for (const element of svg.querySelectorAll(".edge")) {
    if (edges.has(element.dataset.edge) || (weight && weight === element.dataset.quantity)) element.classList.add("way");
  }
}

// ---- the chain rule ----

function table(rows) {
  const result = make("table");
  for (const row of rows) {
    const line = result.insertRow();
    for (const cell of row) line.insertCell().textContent = cell;
  }
  return result;
}

function open(title, ...parts) {
  const detail = at("detail");
  detail.hidden = false;
  detail.children[0].textContent = title;
  detail.children[1].replaceChildren(...parts);
}

function explain(quantity) {
  const found = numbers().explained[quantity] ?? data.explained[quantity];
  if (!found) return;
  const parts = found.paths.map((path) => {
    const block = make("div", undefined, "path");
    const button = make("button", `${path.words} = ${shown(path.product)}`);
    button.addEventListener("click", () => light(path));
    block.append(button, table(path.factors.map((factor) => [factor.symbol, "= " + factor.formula, "= " + shown(factor.value)])));
    return block;
  });
  const rows = [["sum over all paths", found.total], ["the engine's gradient", found.gradient],
    ["finite difference", found.difference ?? "none: the cost has a corner here"], ["complex step", found.complex]];
  if (found.more) rows.unshift([found.more, found.rest]);
  if (data.mean[quantity] !== undefined) rows.push([`mean over all rows: dC/d${quantity}`, data.mean[quantity]]);
  parts.push(table(rows.map(([name, value]) => [name, typeof value === "number" ? String(value) : value])));
  open(`${found.symbol} = ${shown(found.total)}`, ...parts);
  light(found.paths[0]);
}

function layer(k) {
  const parts = [table(data.layers[k].table)];
  for (const quantity of data.layers[k].quantities) {
    const button = make("button", `chain rule of ${quantity}`);
    button.addEventListener("click", () => explain(quantity));
    parts.push(button, " ");
  }
  open(data.layers[k].title, ...parts);
}

function choose(element) {
  const chosen = element.closest("[data-quantity], [data-layer]");
  if (!chosen || state.sheet) return; // in the worksheet it would tell
  if (chosen.dataset.layer !== undefined) layer(Number(chosen.dataset.layer));
  else explain(chosen.dataset.quantity);
}

// ---- the worksheet ----

// Right to the digits that the page shows, with half a unit of the third for numbers that were rounded on the way.
const isRight = (typed, value) => Math.abs(typed - value) <= 0.005 * Math.abs(value) + 5e-7;

function score() {
  at("score").textContent = `${state.known.size} of ${data.sheet.length} right. Each number is asked for in the order in which it is computed.`;
}

function worksheet() {
  stop();
  state.sheet = !state.sheet;
  state.known.clear();
  at("worksheet").setAttribute("aria-pressed", String(state.sheet));
  at("sheet").hidden = !state.sheet;
  at("detail").hidden = true;
  light(null);
  const list = at("sheet").querySelector("ol");
  list.replaceChildren();
  for (const question of state.sheet ? data.sheet : []) {
    const item = make("li"), label = make("label", question.hint + " = ", "value");
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

// ---- where it all begins ----

at("first").addEventListener("click", () => { stop(); go(0); });
at("back").addEventListener("click", () => { stop(); go(state.step - 1); });
at("next").addEventListener("click", () => { stop(); go(state.step + 1); });
at("last").addEventListener("click", () => { stop(); go(data.steps.length - 1); });
at("play").addEventListener("click", play);
at("worksheet").addEventListener("click", worksheet);
at("row").addEventListener("change", () => {
  state.row = Number(at("row").value);
  at("detail").hidden = true;
  light(null);
  if (state.sheet) { state.sheet = false; worksheet(); } else draw();
});
svg.addEventListener("click", (event) => choose(event.target));
svg.addEventListener("mouseover", (event) => tell(event.target));
svg.addEventListener("mouseleave", () => { at("hint").textContent = data.hint; });
svg.addEventListener("focusin", (event) => tell(event.target));
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, select")) return;
  if (event.key === "ArrowRight") { stop(); go(state.step + 1); }
  else if (event.key === "ArrowLeft") { stop(); go(state.step - 1); }
  else if (event.key === "Escape") { light(null); at("detail").hidden = true; }
  else if ((event.key === "Enter" || event.key === " ") && svg.contains(event.target)) choose(event.target);
  else return;
  event.preventDefault();
});
// ---- the address, which a teacher can send: #step=4&row=1&number=W1[0,1]&worksheet, and embed in another page ----

function address() { // a page without an address of its own, as in a notebook, has none
  if (location.protocol === "about:") return;
  const parts = state.embed ? ["embed"] : [];
  if (state.step !== data.steps.length - 1) parts.push(`step=${state.step + 1}`);
  if (state.row) parts.push(`row=${data.rows[state.row].name}`);
  if (state.number) parts.push(`number=${state.number}`);
  if (state.sheet) parts.push("worksheet");
  const hash = parts.length ? "#" + parts.join("&") : "";
  if (decodeURIComponent(location.hash) !== hash) history.replaceState(null, "", hash || location.pathname);
}

function arrive() {
  const given = new URLSearchParams(location.hash.slice(1)), row = data.rows.findIndex((each) => each.name === given.get("row"));
  state.embed = given.has("embed");
  document.documentElement.classList.toggle("embed", state.embed);
  state.row = Math.max(0, row);
  at("row").value = state.row;
  state.step = Math.max(0, Math.min(data.steps.length, Number(given.get("step")) || data.steps.length) - 1);
  at("alone").href = location.href.replace(/embed&?/, "");
  if (given.has("worksheet") !== state.sheet) worksheet(); else draw();
  if (given.get("number") && !state.sheet) explain(given.get("number"));
}

// A frame is as tall as the page in it; a page of another origin, as files are, can only tell it.
const tall = () => {
  if (parent === window) return;
  parent.postMessage({ fastpropTrace: document.documentElement.getBoundingClientRect().height }, "*");
};
new ResizeObserver(tall).observe(document.documentElement);
addEventListener("message", (event) => {
  if (event.source === parent && typeof event.data?.fastpropTheme === "string") document.documentElement.dataset.theme = event.data.fastpropTheme;
});
addEventListener("hashchange", arrive);
data.rows.forEach((row, k) => {
  const option = make("option", row.name);
  option.value = k;
  at("row").append(option);
});
at("rows").hidden = data.rows.length < 2;
at("worksheet").hidden = !data.sheet.length;
at("hint").textContent = data.hint;
arrive();
