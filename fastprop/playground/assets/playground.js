// The playground's controls and its loop: ask the engine to train a little, draw the answer, ask again.

import { SHAPES, drawCurve, drawPlane, drawScale, drawThumbnail, largest, number, place, scaleOf, surfaceOf, ticks } from "./playground_draw.js";
import { buildEditor } from "./playground_editor.js";
import { readLesson, writeLesson } from "./playground_lesson.js";
import { buildNetwork, sizesOf, unitName } from "./playground_network.js";
import { warningsOf } from "./playground_warnings.js";

const $ = (id) => document.getElementById(id);
const all = (selector) => [...document.querySelectorAll(selector)];
const MAX_CSV = 5_000_000; // bytes, as in server.py
const PICTURES = 150; // milliseconds between two pictures of a neuron, which are slower to draw than lines
const WARNINGS = 700; // milliseconds between two looks at what is wrong, so that its words can be read
const CALM = 1000; // milliseconds between two drawings for those who prefer reduced motion
const LESSON_CURVE = 50; // points of the cost curve of a lesson that trains when it is opened
const CURSOR = 1 / 40; // share of the plane that an arrow key moves by

let engine = null; // as start() takes it
let scene = null, snapshot = null, network = null, trace = null;
let chosen = null, chosenRow = null, pointed = null, cursor = null; // a line or unit; a row; what the mouse is over; a place
let editor = null, warnings = [], running = false, lesson = null;
let drawn = 0, pictured = 0, warned = 0; // when that was last done

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
  const nextScene = newScene ?? await engine.scene(), next = await engine.snapshot();
  if (next.version !== nextScene.version) return look(); // another page of the same playground changed it
  scene = nextScene;
  trace = chosen = chosenRow = pointed = network = null;
  showSettings();
  await show(next);
  showTrace();
  showEditor();
}

async function show(next) {
  if (next.version !== scene.version) return look();
  snapshot = next;
  $("steps").textContent = next.steps.toLocaleString("en");
  $("epochs").textContent = next.epochs.toLocaleString("en", { maximumFractionDigits: 1 });
  $("cost").textContent = number(next.cost);
  $("test-cost").textContent = number(next.test_cost);
  const percent = (share) => share === null ? "-" : (100 * share).toFixed(1) + " %";
  for (const one of all(".classified")) one.hidden = next.accuracy === undefined;
  if (next.accuracy !== undefined) {
    $("accuracy").textContent = percent(next.accuracy);
    $("test-accuracy").textContent = percent(next.test_accuracy);
  }
  for (const one of all(".tested")) if (!scene.test.length) one.hidden = true;
  showPenalty();
  if (next.message) { pause(); tell(next.message + ". Or restart."); }
  const calm = running && matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (!calm || performance.now() - drawn > CALM) draw();
}

function showPenalty() {
  const { l1, l2 } = scene.settings, weights = snapshot.layers.flatMap((layer) => layer.W.flat());
  $("penalties").hidden = !(l1 || l2);
  $("penalty").textContent = number(weights.reduce((sum, w) => w === null ? NaN : sum + l1 * Math.abs(w) + l2 / 2 * w * w, 0));
}

function draw(pictures = performance.now() - pictured > PICTURES) {
  if (!snapshot) return;
  drawn = performance.now();
  drawThePlane();
  drawCurve($("curve"), snapshot.history);
  $("curve").setAttribute("aria-label", `Cost over the steps: now ${number(snapshot.cost)}` + (scene.test.length ? `, of the test points ${number(snapshot.test_cost)}` : ""));
  const width = $("network-frame").clientWidth;
  if (!network || network.width !== width) {
    const focused = $("network").contains(document.activeElement);
    network = buildNetwork($("network"), scene, sizesOf(scene, snapshot), width, { point, choose, open });
    network.choose(chosen);
    if (focused) network.focus(chosen); // a focused neuron is the chosen one
    network.values(trace);
    network.warn(warnings);
    pictures = true;
  }
  network.paint(snapshot.layers, shown().lines);
  if (pictures) {
    network.picture(snapshot.layers);
    pictured = drawn;
  }
  if (!running || drawn - warned > WARNINGS) showWarnings();
  showPointed();
  editor?.(snapshot, trace, scene.settings);
}

function drawThePlane() {
  const unit = pointed?.unit === undefined ? null
    : pointed.layer ? snapshot.layers[pointed.layer - 1].pictures[pointed.unit] : scene.inputs[pointed.unit].picture;
  drawPlane($("plane"), scene, snapshot, { chosen: chosenRow, discrete: $("discrete").checked, cursor, unit });
  $("plane").setAttribute("aria-label", "The points, and what the network says around them. Arrow keys move a cross that reads its value; Enter traces the nearest point.");
  showWhere();
}

// Return rows of texts, each with its name in front.
function fill(part, rows) {
  part.replaceChildren(...rows.map(([name, ...cells]) => {
    const line = document.createElement("tr"), head = document.createElement("th");
    head.scope = "row";
    head.textContent = name;
    line.append(head, ...cells.map((text) => {
      const made = document.createElement("td");
      made.textContent = text;
      return made;
    }));
    return line;
  }));
}

function showWarnings() {
  warned = performance.now();
  warnings = warningsOf(scene, snapshot);
  network.warn(warnings);
  const texts = warnings.map(({ text }) => text), now = [...$("warnings").children].map((line) => line.textContent);
  // While it trains, the numbers in the words change all the time; only another warning is worth reading out.
  const kinds = JSON.stringify(warnings.map(({ kind, units }) => [kind, units]));
  if (texts.join() === now.join() || (running && kinds === $("warnings").dataset.kinds)) return;
  $("warnings").dataset.kinds = kinds;
  $("warnings").replaceChildren(...texts.map((text) => {
    const line = document.createElement("p");
    line.textContent = text;
    return line;
  }));
}

// ---- lines and units ----

function point(what) {
  pointed = what;
  showPointed();
  drawThePlane();
}

function showPointed() {
  $("pointed").textContent = !pointed ? "Point at a line or a neuron to read its numbers; choose it to change them."
    : pointed.unit === undefined ? nameOfLine(pointed)
      : `${network.name(pointed.layer, pointed.unit)}: the plane shows its output.`;
}

function nameOfLine({ layer, i, j }) {
  const numbers = snapshot.layers[layer - 1], name = `W${layer}[${i},${j}]`;
  return `${name} = ${number(numbers.W[i][j])}, dC/d${name} = ${number(numbers.dW[i][j])}, from ${network.name(layer - 1, i)} to ${network.name(layer, j)}`;
}

function choose(what) {
  if (JSON.stringify(what) === JSON.stringify(chosen)) return; // the numbers are shown, and may have the focus
  chosen = what;
  network.choose(what);
  showEditor();
}

// Choose a unit, and move the focus to its first number.
function open(what) {
  choose(what);
  $("parameters").querySelector("input")?.focus();
}

function showEditor() {
  const edited = chosen !== null && chosen.layer > 0;
  $("editor").hidden = !edited;
  editor = null;
  if (!edited) return;
  const { sizes } = network, { layer, i, j, unit } = chosen;
  $("edited").textContent = i === undefined ? `Neuron ${unitName(scene, sizes, layer, unit)}`
    : `Weight from ${unitName(scene, sizes, layer - 1, i)} to ${unitName(scene, sizes, layer, j)}`;
  editor = buildEditor($("parameters"), sizes, chosen, edit);
  editor(snapshot, trace, scene.settings);
}

// Set a parameter. While one is set, a slider goes on: then only the newest of its values is set next.
let waiting = null;
function edit(at, value) {
  const before = waiting;
  waiting = { at, value };
  if (before && before.at === at) return;
  attempt(async () => {
    const next = waiting?.at === at ? waiting : { at, value };
    if (waiting === next) waiting = null;
    tell("");
    await show(await engine.edit(next.at, [next.value]));
    await refreshTrace();
  });
}

// ---- the plane ----

// Say what the network says where the mouse or the cross is.
function showWhere() {
  if (!cursor || !snapshot) {
    $("where").textContent = "Point at the plane to read what the network says there.";
    return;
  }
  const surface = surfaceOf(snapshot), { size } = surface, [[left, right], [bottom, top]] = scene.domain;
  const cell = (share) => Math.min(size - 1, Math.floor(share * size)), i = cell(cursor[1]) * size + cell(cursor[0]);
  const at = [left + (right - left) * cursor[0], top - (top - bottom) * cursor[1]];
  const where = scene.axes.map((name, k) => `${name} = ${number(at[k], 3)}`).join(", ");
  const said = surface.values ? `${scene.target} ${number(surface.values[i], 3)}` : surface.shares
    .map((share, k) => [share[i] / 255, k]).sort((a, b) => b[0] - a[0]).slice(0, 3)
    .map(([share, k]) => `${scene.target} ${scene.classes[k]} ${(100 * share).toFixed(0)} %`).join(", ");
  $("where").textContent = `${where}: ${said}`;
}

function moveCursor(to) {
  cursor = to;
  drawThePlane();
}

const nearest = (across, down) => {
  const distances = scene.points.map(([x, y]) => {
    const [u, v] = place(scene, x, y, 1, 1);
    return Math.hypot(u - across, v - down);
  });
  return distances.indexOf(Math.min(...distances));
};

function showAxes() {
  const span = (made, text, at) => {
    const one = document.createElement("span");
    one.textContent = text;
    one.style.setProperty("--at", `${100 * at}%`);
    made.push(one);
  };
  scene.domain.forEach(([low, high], k) => {
    const made = [];
    for (const value of ticks(low, high, 6)) span(made, number(value, 3), (value - low) / (high - low));
    $(k ? "ticks-y" : "ticks-x").replaceChildren(...made);
    const axis = $(k ? "axis-y" : "axis-x");
    axis.textContent = axis.title = scene.axes[k];
  });
  const regression = scene.task === "regression";
  $("scale-frame").hidden = !regression;
  $("discrete-label").textContent = regression ? "In steps, one colour between two contours" : "Only the likeliest class";
  if (!regression) return;
  const { far, levels } = scaleOf(scene), made = [];
  $("scale-name").textContent = $("scale-name").title = scene.target;
  for (const value of levels) span(made, number(value, 3), (value + far) / (2 * far));
  $("ticks-scale").replaceChildren(...made);
  $("scale").setAttribute("aria-label", `Colours of ${scene.target} from ${number(-far, 3)}, orange, to ${number(far, 3)}, blue; below 0 the contours are dashed`);
  drawScale($("scale"), scene, $("discrete").checked);
}

// ---- the trace ----

function showTrace() {
  network?.values(trace);
  $("trace-scroll").hidden = !trace;
  if (!trace) {
    $("trace-words").textContent = "Choose a point in the plane or here: every number of the forward and the backward pass.";
    return;
  }
  $("row").value = trace.row;
  const where = scene.inputs.map(({ name }, k) => `${name} = ${number(trace.x[k])}`).join(", ");
  const said = trace.shares ? ` The network gives it ${(100 * trace.shares[scene.classes.indexOf(trace.y)]).toFixed(1)} %.` : "";
  $("trace-words").textContent = `Row ${trace.row}${trace.test ? ", of the test points" : ""}: ${where}; `
    + `${scene.target} ${typeof trace.y === "number" ? number(trace.y) : trace.y}.${said} Its loss is L = ${number(trace.loss)}.`;
  const units = (layer, at) => layer.z.map((_, unit) =>
    [network.name(at + 1, unit), ...["z", "a", "slope", "da", "dz"].map((name) => number(layer[name][unit]))]);
  fill($("trace").tBodies[0], [
    ...trace.x.map((x, k) => [scene.inputs[k].name, "", number(x), "", number(trace.dx[k]), ""]),
    ...trace.layers.flatMap(units),
  ]);
}

async function traceRow(row) {
  trace = await engine.trace(row);
  chosenRow = row;
  draw(false);
  showTrace();
}

const refreshTrace = async () => { if (chosenRow !== null && !running) await traceRow(chosenRow); };

// ---- the settings ----

function options(select, names, value) {
  const same = select.options.length === names.length && names.every((name, k) => select.options[k].value === name);
  if (!same) select.replaceChildren(...names.map((name) => new Option(name.replaceAll("_", " "), name)));
  select.value = value;
}

function showSettings() {
  if (!scene) return;
  const { settings, choices } = scene, own = settings.data === "table";
  showSets();
  $("made-n").hidden = $("made-noise").hidden = own;
  $("own").hidden = !own;
  if (own) for (const axis of ["x", "y", "target"]) options($("column-" + axis), choices.table.columns, settings.columns[axis]);
  options($("activation"), choices.activation, settings.activation);
  options($("loss"), choices.losses, settings.loss);
  options($("optimizer"), choices.optimizer, settings.optimizer);
  for (const [id, value] of [["n", settings.n], ["noise", settings.noise], ["test-share", Math.round(100 * settings.test_share)], ["rate", settings.rate],
    ["batch-size", settings.batch_size], ["l1", settings.l1], ["l2", settings.l2]]) $(id).value = value;
  showRanges();
  $("activation-formula").textContent = `g(z) = ${scene.activation.formula}; g'(z) = ${scene.activation.derivative}`;
  $("loss-formula").textContent = `L = ${scene.loss.formula}. C is the mean of L.`;
  $("row").max = scene.points.length - 1;
  $("axes").textContent = (own ? "Each column has mean 0 and deviation 1. " : "") + (scene.test.length ? "Points with a hole are for testing." : "All points are trained on.");
  for (const one of all(".tested")) one.hidden = !scene.test.length;
  $("classes").replaceChildren(...scene.classes.map((name, k) => {
    const span = document.createElement("span");
    span.textContent = span.title = name;
    span.style.setProperty("--colour", `var(--class-${k})`);
    span.dataset.shape = SHAPES[k];
    return span;
  }));
  $("notes").textContent = scene.notes.join("; ");
  $("notes").hidden = !scene.notes.length;
  showFeatures();
  showLayers();
  showAxes();
}

function showRanges() {
  document.querySelector("output[for=noise]").textContent = $("noise").value;
  document.querySelector("output[for=test-share]").textContent = `${$("test-share").value} %`;
}

// Show the data sets as pictures to choose from.
let thumbnails = {};
function showSets() {
  const { choices, settings } = scene, { classification, regression } = choices.data;
  const names = [...classification, ...regression, ...(choices.table ? ["table"] : [])];
  if ($("sets").children.length !== names.length) $("sets").replaceChildren(...names.map(setButton));
  for (const radio of document.getElementsByName("data")) {
    radio.checked = radio.value === settings.data;
    const points = radio.value === "table" && settings.data === "table" ? scene.points : thumbnails[radio.value];
    if (points) drawThumbnail(radio.nextElementSibling, points, radio.value === "table" ? scene.classes.length : classification.includes(radio.value));
    radio.parentNode.title = radio.value === "table" ? choices.table.name : `${radio.value}, a ${classification.includes(radio.value) ? "classification" : "regression"}`;
  }
}

function setButton(name) {
  const label = document.createElement("label"), radio = document.createElement("input"), text = document.createElement("span");
  label.className = "set";
  radio.type = "radio";
  radio.name = "data";
  radio.value = name;
  radio.addEventListener("change", () => configure({ data: name }));
  text.textContent = name === "table" ? "your table" : name;
  label.append(radio, document.createElement("canvas"), text);
  return label;
}

function showFeatures() {
  const { features } = scene.settings, names = scene.choices.features;
  if ($("features").children.length !== names.length) {
    $("features").replaceChildren(...names.map((name) => {
      const label = document.createElement("label"), box = document.createElement("input"), text = document.createElement("span");
      box.type = "checkbox";
      box.value = name;
      text.textContent = name;
      label.append(box, text);
      box.addEventListener("change", () => configure({ features: all("#features input:checked").map((one) => one.value) }));
      return label;
    }));
  }
  for (const box of all("#features input")) {
    box.checked = features.includes(box.value);
    box.disabled = box.checked && features.length === 1; // a network has an input
  }
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
  if (next.version !== scene.version) return look(next);
  scene = next; // the network is kept if only the rate, the optimiser, the batch size or a penalty changed
  showSettings();
  showPenalty();
  draw(false);
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
  attempt(async () => { draw(true); if (chosenRow !== null) await refreshTrace(); else showTrace(); });
}

const step = () => attempt(async () => {
  pause();
  tell("");
  await show(await engine.train(1));
  draw(true);
  await refreshTrace();
});

const stepRow = () => attempt(async () => {
  pause();
  tell("");
  const answer = await engine.stepExample();
  chosenRow = answer.trace.row;
  trace = answer.trace;
  await show(answer.snapshot);
  draw(true);
  showTrace();
});

const toggle = () => running ? pause() : run();
const restart = () => attempt(async () => {
  pause();
  tell("");
  await look(await engine.restart({ seed: Math.floor(Math.random() * 2 ** 32) }));
});

// ---- lessons ----

const controls = () => [...new Set(all("[data-control]").map((one) => one.dataset.control))];
const shown = () => ({ lines: document.querySelector("[name=lines]:checked").value, discrete: $("discrete").checked ? "1" : "0", speed: $("speed").value });
const hiddenControls = () => controls().filter((name) => document.querySelector(`[data-control="${name}"]`).classList.contains("left-out"));

function hideControls(names) {
  for (const one of all("[data-control]")) one.classList.toggle("left-out", names.includes(one.dataset.control));
  for (const part of all("fieldset")) part.classList.toggle("left-out", !part.querySelector("[data-control]:not(.left-out)"));
  $("settings").classList.toggle("left-out", !document.querySelector("fieldset:not(.left-out)"));
}

// Set everything as the text after # in the address says; what cannot be done leaves all as it was.
async function restoreLesson(text) {
  pause();
  const before = await engine.state();
  let next;
  try {
    const read = readLesson(text, scene.choices.start, controls());
    next = await engine.restart(read.settings);
    if (read.parameters) {
      const { parameters } = await engine.state();
      if (parameters.length !== read.parameters.length) throw new Error(`it has ${read.parameters.length} parameters for a network of ${parameters.length}`);
      await engine.edit(0, read.parameters);
    }
    for (let steps = 0; steps < read.steps;) {
      const { steps: now, message } = await engine.train(Math.min(read.steps - steps, Math.ceil(read.steps / LESSON_CURVE)));
      if (message) break;
      steps = now;
    }
    lesson = text;
    tell("");
    document.querySelector(`[name=lines][value=${read.shown.lines ?? "W"}]`).checked = true;
    $("discrete").checked = read.shown.discrete === "1";
    $("speed").value = read.shown.speed ?? "10";
    hideControls(read.hidden);
  } catch (error) {
    if (next) {
      next = await engine.restart(before.settings);
      await engine.edit(0, before.parameters.map((value) => value ?? 0));
    }
    tell(`The link was not used: ${error.message}.`.replace("..", "."));
  }
  $("again").hidden = lesson === null;
  await look(next);
}

async function showLink() {
  $("copied").textContent = "";
  try {
    const left = all("#lesson-controls input:not(:checked)").map((box) => box.value);
    $("link").value = location.href.split("#")[0] + "#" + writeLesson(await engine.state(), shown(), left);
    $("copy").disabled = false;
  } catch (error) {
    $("link").value = "";
    $("copy").disabled = true;
    $("copied").textContent = error.message;
  }
}

function openLesson() {
  pause();
  const left = hiddenControls();
  $("lesson-controls").replaceChildren(...controls().filter((name) => name !== "file" || engine.upload).map((name) => {
    const one = document.querySelector(`[data-control="${name}"]`);
    const label = document.createElement("label"), box = document.createElement("input"), text = document.createElement("span");
    box.type = "checkbox";
    box.value = name;
    box.checked = !left.includes(name);
    box.addEventListener("change", () => attempt(showLink));
    text.textContent = one.dataset.label ?? one.firstChild.textContent.trim();
    label.append(box, text);
    return label;
  }));
  $("share-note").textContent = engine.share ?? "";
  $("lesson").showModal();
  attempt(showLink);
}

async function copyLink() {
  $("link").select();
  try {
    await navigator.clipboard.writeText($("link").value);
    $("copied").textContent = "The link is copied.";
  } catch {
    $("copied").textContent = "The browser does not let this page copy; the link is selected, so copy it with Ctrl+C.";
  }
}

// ---- event handlers ----

$("run").addEventListener("click", toggle);
$("step").addEventListener("click", step);
$("step-row").addEventListener("click", stepRow);
$("restart").addEventListener("click", restart);
$("settings").addEventListener("submit", (event) => event.preventDefault());
for (const name of ["activation", "loss", "optimizer"]) $(name).addEventListener("change", () => configure({ [name]: $(name).value }));
for (const [id, name] of [["n", "n"], ["noise", "noise"], ["rate", "rate"], ["batch-size", "batch_size"], ["l1", "l1"], ["l2", "l2"]]) {
  $(id).addEventListener("change", () => configure({ [name]: $(id).value === "" ? null : Number($(id).value) }));
}
$("test-share").addEventListener("change", () => configure({ test_share: Number($("test-share").value) / 100 }));
for (const id of ["noise", "test-share"]) $(id).addEventListener("input", showRanges);
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
$("discrete").addEventListener("change", () => { drawThePlane(); showAxes(); });
function closeEditor() {
  network.focus({ layer: chosen.layer, unit: chosen.unit ?? chosen.j }); // which chooses it
  choose(null);
}
$("close-editor").addEventListener("click", closeEditor);
$("editor").addEventListener("keydown", (event) => { if (event.key === "Escape") closeEditor(); });
$("row").addEventListener("change", () => attempt(() => traceRow(Number($("row").value))));
const move = (by) => attempt(() => traceRow(((chosenRow ?? -by) + by + scene.points.length) % scene.points.length));
$("previous").addEventListener("click", () => move(-1));
$("next").addEventListener("click", () => move(1));

const placeOfMouse = (event) => {
  const box = $("plane").getBoundingClientRect(), inside = (share) => Math.min(Math.max(share, 0), 1);
  return [inside((event.clientX - box.left) / box.width), inside((event.clientY - box.top) / box.height)];
};
$("plane").addEventListener("pointermove", (event) => { if (snapshot) moveCursor(placeOfMouse(event)); });
$("plane").addEventListener("pointerleave", () => { if (snapshot) moveCursor(null); });
$("plane").addEventListener("blur", () => { if (snapshot) moveCursor(null); });
$("plane").addEventListener("click", (event) => attempt(() => traceRow(nearest(...placeOfMouse(event)))));
$("plane").addEventListener("keydown", (event) => {
  const [across, down] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
  const inside = (share) => Math.min(Math.max(share, 0), 1), from = cursor ?? [0.5, 0.5];
  if (across || down) moveCursor([inside(from[0] + across * CURSOR), inside(from[1] + down * CURSOR)]);
  else if (event.key === "Enter") attempt(() => traceRow(nearest(...from)));
  else return;
  event.preventDefault();
});

$("share").addEventListener("click", openLesson);
$("copy").addEventListener("click", copyLink);
$("close-lesson").addEventListener("click", () => $("lesson").close());
$("again").addEventListener("click", () => attempt(() => restoreLesson(lesson)));
window.addEventListener("hashchange", () => { if (location.hash.length > 1) attempt(() => restoreLesson(location.hash.slice(1))); });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || $("lesson").open) return;
  if (event.target.matches("input:not([type=radio], [type=checkbox]), select, textarea")) return;
  if (event.key === " " && event.target.matches("button, input, [role=button]")) return; // there the space bar presses the control
  const button = { " ": "run", b: "step", e: "step-row", r: "restart" }[event.key];
  if (!button || $(button).classList.contains("left-out")) return;
  event.preventDefault();
  $(button).click();
});
new ResizeObserver(() => { if (snapshot) { draw(false); showAxes(); } }).observe($("network-frame"));
const repaint = () => { if (snapshot) { draw(true); showSettings(); } };
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
new MutationObserver(repaint).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] }); // in a frame

/* Show the page of an engine, an object of asynchronous functions that train the network: scene, snapshot, configure,
 * restart, train, stepExample, trace, edit, state, thumbnails and, where it takes tables, upload. Their results are those
 * of session.py's methods of the same names; an error's message is shown. Its text `share` is shown beside a lesson's
 * link. */
export function start(given) {
  engine = given;
  document.querySelector("label.file").hidden = !engine.upload;
  attempt(async () => {
    thumbnails = await engine.thumbnails();
    await look();
    if (location.hash.length > 1) await restoreLesson(location.hash.slice(1));
  });
}
