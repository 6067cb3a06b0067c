// The playground's controls and its loop: ask the engine to train a little, draw the answer, ask again.

import { buildNetwork, drawCurve, drawPlane, number, place } from "./playground_draw.js";

const $ = (id) => document.getElementById(id);
const MAX_CSV = 5_000_000; // bytes, as in server.py
const PICTURES = 150; // milliseconds between two pictures of a neuron, which are slower to draw than lines

let engine = null; // as start() takes it
let scene = null, snapshot = null, network = null, trace = null;
let chosen = null, pointed = null, running = false, pictured = 0;

// ---- messages ----

function tell(message) {
  $("error").textContent = message;
  $("error").hidden = !message;
}

// One request to the engine at a time, in order. An error is shown, and stops the training.
let queue = Promise.resolve();
const attempt = (work) => (queue = queue.then(work).catch((error) => { pause(); tell(error.message); showSettings(); }));

// ---- the display ----

async function look(newScene) {
  scene = newScene ?? await engine.scene();
  trace = null;
  chosen = null;
  network = null;
  showSettings();
  await show(await engine.snapshot());
  showTrace();
}

async function show(next) {
  if (next.version !== scene.version) return look(); // another page of the same playground changed it
  snapshot = next;
  $("steps").textContent = next.steps.toLocaleString("en");
  $("epochs").textContent = next.epochs.toLocaleString("en", { maximumFractionDigits: 1 });
  $("cost").textContent = number(next.cost);
  $("test-cost").textContent = number(next.test_cost);
  $("accuracies").hidden = next.accuracy === undefined;
  if (next.accuracy !== undefined) $("accuracy").textContent = (100 * next.test_accuracy).toFixed(1) + " %";
  if (next.message) { pause(); tell(next.message + ". Or restart."); }
  draw();
}

function draw(pictures = performance.now() - pictured > PICTURES) {
  if (!snapshot) return;
  drawPlane($("plane"), scene, snapshot, chosen);
  drawCurve($("curve"), snapshot.history);
  $("curve").setAttribute("aria-label", `Cost over the steps: now ${number(snapshot.cost)}, of the test points ${number(snapshot.test_cost)}`);
  if (!network) {
    const sizes = [scene.inputs.length, ...snapshot.layers.map((layer) => layer.b.length)];
    network = buildNetwork($("network"), scene, sizes, (what) => { pointed = what; showPointed(); });
    pointed = null;
    pictures = true;
  }
  network.paint(snapshot, document.querySelector("[name=lines]:checked").value);
  if (pictures) {
    network.picture(snapshot);
    pictured = performance.now();
  }
  showPointed();
}

// Return rows of numbers, each with its name in front.
function fill(part, rows, cell = "td") {
  part.replaceChildren(...rows.map(([name, ...cells]) => {
    const line = document.createElement("tr"), head = document.createElement("th");
    head.scope = cell === "th" ? "col" : "row";
    head.textContent = name;
    line.append(head, ...cells.map((text) => {
      const made = document.createElement(cell);
      made.textContent = text;
      return made;
    }));
    return line;
  }));
}

// Show the present numbers of the line that is pointed at, or of all lines into the neuron that is.
function showPointed() {
  $("incoming").hidden = !pointed || pointed.layer === 0;
  if (!pointed || !snapshot) return;
  const { layer, unit, i, j } = pointed, numbers = snapshot.layers[layer - 1], example = trace?.layers[layer - 1];
  $("pointed").textContent = i === undefined ? `${network.names(layer, unit)}${layer ? "" : ": an input"}`
    : `${network.names(layer - 1, i)} \u2192 ${network.names(layer, j)}`;
  if (layer === 0) return;
  const row = (name, value, of) => [name, number(value), number(of(numbers)), ...(example ? [number(of(example))] : [])];
  const weight = (from, to) => row(`w, from ${network.names(layer - 1, from)}`, numbers.W[from][to], (of) => of.dW[from][to]);
  fill($("incoming").tHead, [["", "value", "dC/d of it", ...(example ? [`of example ${trace.row} alone`] : [])]], "th");
  fill($("incoming").tBodies[0], i !== undefined ? [weight(i, j)]
    : [row("bias", numbers.b[unit], (of) => of.db[unit]), ...numbers.W.map((_, from) => weight(from, unit))]);
}

function showTrace() {
  network?.values(trace);
  showPointed();
  $("trace-scroll").hidden = !trace;
  if (!trace) {
    $("trace-words").textContent = "Choose a point in the plane or here: every number of the forward and the backward pass.";
    return;
  }
  $("row").value = trace.row;
  const where = scene.inputs.map(({ name }, k) => `${name} = ${number(trace.x[k])}`).join(", ");
  const said = trace.shares ? ` The network gives it ${(100 * trace.shares[scene.classes.indexOf(trace.y)]).toFixed(1)} %.` : "";
  $("trace-words").textContent = `Example ${trace.row}${trace.test ? ", of the test points" : ""}: ${where}; `
    + `${scene.target} ${typeof trace.y === "number" ? number(trace.y) : trace.y}.${said} Its loss is C = ${number(trace.loss)}.`;
  const units = (layer, at) => layer.z.map((_, unit) =>
    [network.names(at + 1, unit), ...["z", "a", "slope", "da", "dz"].map((name) => number(layer[name][unit]))]);
  fill($("trace").tBodies[0], [
    ...trace.x.map((x, k) => [scene.inputs[k].name, "", number(x), "", number(trace.dx[k]), ""]),
    ...trace.layers.flatMap(units),
  ]);
}

// ---- the settings ----

function options(select, names, value) {
  const same = select.options.length === names.length && names.every((name, k) => select.options[k].value === name);
  if (!same) select.replaceChildren(...names.map((name) => new Option(name.replaceAll("_", " "), name)));
  select.value = value;
}

function showSettings() {
  if (!scene) return;
  const { settings, choices } = scene;
  $("data").replaceChildren(...Object.entries(choices.data).map(([task, names]) => {
    const group = document.createElement("optgroup");
    group.label = task;
    group.append(...names.map((name) => new Option(name, name)));
    return group;
  }));
  if (choices.table) $("data").append(new Option(choices.table.name, "table"));
  $("data").value = settings.data;
  const own = settings.data === "table";
  $("made").hidden = own;
  $("own").hidden = !own;
  if (own) for (const axis of ["x", "y", "target"]) {
    const select = $("column-" + axis);
    select.replaceChildren(...choices.table.columns.map((name) => new Option(name, name)));
    select.value = settings.columns[axis];
  }
  $("n").value = settings.n;
  $("noise").value = settings.noise;
  options($("activation"), choices.activation, settings.activation);
  options($("loss"), choices.losses, settings.loss);
  options($("optimizer"), choices.optimizer, settings.optimizer);
  $("rate").value = settings.rate;
  $("batch-size").value = settings.batch_size;
  $("activation-formula").textContent = `g(z) = ${scene.activation.formula}; g'(z) = ${scene.activation.derivative}`;
  $("loss-formula").textContent = `C = ${scene.loss.formula}`;
  $("row").max = scene.points.length - 1;
  $("axes").textContent = `across ${scene.axes[0]}, up ${scene.axes[1]}${own ? ", each with mean 0 and deviation 1" : ""}; hollow points are for testing`;
  const key = scene.classes.length ? scene.classes.map((name, k) => [name, `var(--class-${k})`])
    : [[`low ${scene.target}`, "var(--negative)"], ["high", "var(--positive)"]];
  $("classes").replaceChildren(...key.map(([name, colour]) => {
    const span = document.createElement("span");
    span.textContent = name;
    span.title = name;
    span.style.setProperty("--colour", colour);
    return span;
  }));
  $("notes").textContent = scene.notes.join("; ");
  $("notes").hidden = !scene.notes.length;
  showLayers();
}

function showLayers() {
  const { hidden } = scene.settings, { layers, units } = scene.choices;
  const change = (at, width) => hidden.map((old, k) => k === at ? width : old);
  const focused = document.activeElement?.getAttribute("aria-label");
  $("layers").replaceChildren(...hidden.map((width, at) => {
    const line = document.createElement("li"), name = document.createElement("span");
    name.textContent = `Hidden ${at + 1}: ${width}`;
    const button = (text, label, disabled, to) => {
      const made = document.createElement("button");
      made.type = "button";
      made.textContent = text;
      made.disabled = disabled;
      made.setAttribute("aria-label", label);
      made.addEventListener("click", () => configure({ hidden: to }));
      return made;
    };
    line.append(name,
      button("\u2212", `One neuron less in hidden layer ${at + 1}`, width === 1, change(at, width - 1)),
      button("+", `One neuron more in hidden layer ${at + 1}`, width === units, change(at, width + 1)),
      button("\u00d7", `Remove hidden layer ${at + 1}`, false, hidden.filter((_, k) => k !== at)));
    return line;
  }));
  if (focused) [...$("layers").querySelectorAll("button")].find((one) => one.getAttribute("aria-label") === focused)?.focus();
  $("add-layer").disabled = hidden.length === layers;
}

const configure = (changes) => attempt(async () => {
  const next = await engine.configure(changes);
  tell("");
  if (next.version === scene.version) scene = next; // the network is kept if only the rate, the optimiser or the batch size changed
  else await look(next);
  showSettings();
});

// ---- training ----

function pause() {
  running = false;
  $("run").textContent = "Train";
}

async function run() {
  running = true;
  $("run").textContent = "Pause";
  tell("");
  while (running) {
    await attempt(async () => {
      const next = await engine.train(Number($("speed").value));
      trace = null;
      await show(next);
    });
    await new Promise(requestAnimationFrame);
  }
  attempt(async () => { draw(true); if (chosen !== null) await choose(chosen); else showTrace(); });
}

async function choose(row) {
  trace = await engine.trace(row);
  chosen = row;
  draw(false);
  showTrace();
}

const step = () => attempt(async () => {
  pause();
  tell("");
  await show(await engine.train(1));
  draw(true);
  if (chosen !== null) await choose(chosen);
});

const stepExample = () => attempt(async () => {
  pause();
  tell("");
  const answer = await engine.stepExample();
  chosen = answer.trace.row;
  await show(answer.snapshot);
  draw(true);
  trace = answer.trace;
  showTrace();
});

const toggle = () => running ? pause() : run();
const restart = () => attempt(async () => {
  pause();
  tell("");
  await look(await engine.restart({ seed: Math.floor(Math.random() * 2 ** 32) }));
});

// ---- event handlers ----

$("run").addEventListener("click", toggle);
$("step").addEventListener("click", step);
$("step-example").addEventListener("click", stepExample);
$("restart").addEventListener("click", restart);
$("settings").addEventListener("submit", (event) => event.preventDefault());
for (const [id, name] of [["data", "data"], ["activation", "activation"], ["loss", "loss"], ["optimizer", "optimizer"]]) {
  $(id).addEventListener("change", () => configure({ [name]: $(id).value }));
}
for (const [id, name] of [["n", "n"], ["noise", "noise"], ["rate", "rate"], ["batch-size", "batch_size"]]) {
  $(id).addEventListener("change", () => configure({ [name]: $(id).value === "" ? null : Number($(id).value) }));
}
for (const axis of ["x", "y", "target"]) {
  $("column-" + axis).addEventListener("change", () => configure({
    columns: { x: $("column-x").value, y: $("column-y").value, target: $("column-target").value },
  }));
}
$("add-layer").addEventListener("click", () => configure({ hidden: [...scene.settings.hidden, 4] }));
$("file").addEventListener("change", () => attempt(async () => {
  const file = $("file").files[0];
  if (!file) return;
  pause();
  if (file.size > MAX_CSV) throw new Error(`${file.name} has ${file.size.toLocaleString("en")} bytes; at most ${MAX_CSV.toLocaleString("en")} are taken`);
  const next = await engine.upload(file);
  tell("");
  await look(next);
}));
for (const radio of document.getElementsByName("lines")) radio.addEventListener("change", () => draw(false));
$("row").addEventListener("change", () => attempt(() => choose(Number($("row").value))));
const move = (by) => attempt(() => choose(((chosen ?? -by) + by + scene.points.length) % scene.points.length));
$("previous").addEventListener("click", () => move(-1));
$("next").addEventListener("click", () => move(1));
$("plane").addEventListener("click", (event) => {
  const box = $("plane").getBoundingClientRect();
  const distances = scene.points.map(([x, y]) => {
    const [across, down] = place(scene, x, y, box.width, box.height);
    return Math.hypot(across - (event.clientX - box.left), down - (event.clientY - box.top));
  });
  attempt(() => choose(distances.indexOf(Math.min(...distances))));
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input:not([type=radio]), select")) return;
  if (event.key === " " && event.target.matches("button, input")) return; // there the space bar presses the control
  const action = { " ": toggle, b: step, e: stepExample, r: restart }[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});
window.addEventListener("resize", () => draw(false));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(true));

/* Show the page of an engine, an object of asynchronous functions that train the network: scene, snapshot, configure,
 * restart, train, stepExample, trace and, where it takes tables, upload. Their results are those of session.py's methods
 * of the same names; an error's message is shown. */
export function start(given) {
  engine = given;
  document.querySelector("label.file").hidden = !engine.upload;
  attempt(() => look());
}
