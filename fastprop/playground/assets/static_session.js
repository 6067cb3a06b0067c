// What the page without a server trains: the actions and results of session.py, with the network of static_network.js.

import { Network, Random, shuffled } from "./static_network.js";
import { computeInputs, makePoints, splitRows, tableOf } from "./static_points.js";

const WEIGHTS = 3; // the stream of random numbers, as in random.py

/* The numbers for the page, as views.py gives them: with six digits, finite or null. */
const six = (value) => Number.isFinite(value) ? Number(value.toPrecision(6)) : null;
const sixes = (values) => Array.from(values, (value) => value.length === undefined ? six(value) : sixes(value));
const base64 = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
const range = (n) => Array.from({ length: n }, (_, i) => i);
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/* Return values as bytes from 0 for low to 255 for high. */
const levels = (values, low, high) => base64(Uint8Array.from(values, (value) => {
  const level = (value - low) / (high - low);
  return Number.isNaN(level) ? 128 : Math.round(255 * Math.min(Math.max(level, 0), 1));
}));

/* Return values as bytes, over the range of the finite ones, symmetric around 0. */
const centred = (values) => {
  const far = Math.max(...Array.from(values, (value) => Number.isFinite(value) ? Math.abs(value) : 0)) || 1;
  return levels(values, -far, far);
};

/* Return column j of a matrix (rows, n). */
const column = (matrix, n, j) => Float64Array.from({ length: matrix.length / n }, (_, r) => matrix[r * n + j]);

/* ---- checks of settings, with the messages of Python ---- */

const refuse = (message) => { throw new Error(message); };
const bounds = (least, most) => most === Infinity ? `of at least ${least}` : `from ${least} to ${most}`;

function choice(name, value, choices) {
  if (!choices.includes(value)) refuse(`unknown ${name} ${JSON.stringify(value)}; use one of ${choices.join(", ")}`);
}

function numeric(name, value, least, most = Infinity) {
  if (!Number.isFinite(value) || value < least || value > most) refuse(`${name} must be a number ${bounds(least, most)}, got ${value}`);
}

function whole(name, value, least, most = Infinity) {
  if (!Number.isInteger(value) || value < least || value > most) refuse(`${name} must be a whole number ${bounds(least, most)}, got ${value}`);
}

/* ---- the session ---- */

/* Return the session of one network, an object of functions as the page's start() takes it. lists: what static.py writes. */
export function makeSession(lists) {
  let settings = null, points = null, network = null, inputs = null, domain = null;
  let training = [], test = [], order = [], at = 0, epoch = 0, rowsDone = 0, steps = 0;
  let message = "", history = [], version = 0, repeatable = true;

  const tableName = lists.table?.name;
  const losses = ({ classes }) => !classes.length ? lists.losses_for.regression
    : [...lists.losses_for.classification, ...(classes.length === 2 ? lists.losses_for["two classes"] : [])];

  function findPoints({ data, n, noise, seed, columns }) {
    if (data === "table" && lists.table) {
      const held = lists.table.columns;
      if (JSON.stringify(columns) !== JSON.stringify(held)) refuse(`this page has only ${Object.values(held).join(", ")} of ${tableName}`);
      return lists.table.points;
    }
    choice("data", data, Object.values(lists.data).flat());
    whole("n", n, ...lists.limits.n);
    numeric("noise", noise, 0, 1);
    return makePoints(data, n, noise, seed);
  }

  function setOptimizer(given) {
    network.setOptimizer(lists.optimizers[given.optimizer], given.rate, given.l1, given.l2);
  }

  /* Return the initial weights (inputs, outputs) of a layer, as nn/initializers.py draws them. */
  function draw(random, { gain, both_ways, uniform, omega }, n_in, n_out, first) {
    if (omega !== undefined) {
      const limit = first ? 1 / n_in : Math.sqrt(6 / n_in) / omega;
      return random.uniform(-limit, limit, n_in * n_out);
    }
    const deviation = Math.sqrt(gain / (both_ways ? (n_in + n_out) / 2 : n_in)), limit = Math.sqrt(3) * deviation;
    return uniform ? random.uniform(-limit, limit, n_in * n_out) : random.normal(0, deviation, n_in * n_out);
  }

  function drawWeights(activation, seed) {
    const random = new Random(seed, WEIGHTS), { widths } = network;
    let start = 0;
    for (let k = 0; k < network.layers; k++) {
      const [n_in, n_out] = [widths[k], widths[k + 1]], of = k < network.layers - 1 ? activation : lists.activations.identity;
      network.parameters.set(draw(random, of.initializer, n_in, n_out, k === 0), start);
      start += (n_in + 1) * n_out;
    }
  }

  /* Apply settings completely or, if one of them is refused, not at all. */
  function apply(given, afresh = false) {
    const next = { ...given }, { limits } = lists;
    whole("seed", next.seed, 0, limits.seed);
    const changed = Object.keys(next).filter((name) => JSON.stringify(next[name]) !== JSON.stringify(settings?.[name]));
    choice("optimizer", next.optimizer, Object.keys(lists.optimizers));
    numeric("rate", next.rate, 0);
    if (next.rate === 0) refuse("rate must be above 0");
    whole("batch_size", next.batch_size, 1);
    for (const name of ["l1", "l2"]) numeric(name, next[name], 0);
    if (changed.length && !afresh && changed.every((name) => lists.keep_network.includes(name))) {
      settings = next;
      setOptimizer(next);
      repeatable &&= !steps;
      return;
    }
    numeric("test_share", next.test_share, 0, limits.test_share);
    const features = Object.keys(lists.features);
    if (!Array.isArray(next.features) || !next.features.length) refuse(`features must be a list of at least one of ${features.join(", ")}`);
    for (const name of next.features) choice("feature", name, features);
    next.features = features.filter((name) => next.features.includes(name));
    if (!Array.isArray(next.hidden) || next.hidden.length > limits.layers) refuse(`hidden must be a list of at most ${limits.layers} widths`);
    for (const width of next.hidden) whole("a hidden layer's width", width, 1, limits.units);
    choice("activation", next.activation, Object.keys(lists.activations));
    const found = findPoints(next), possible = losses(found);
    const unsuited = !changed.includes("loss") && !possible.includes(next.loss); // new points may need a loss of another kind
    if (next.loss === null || unsuited) next.loss = possible[0];
    choice("loss", next.loss, possible);
    const activation = lists.activations[next.activation];
    const outputs = lists.losses_for.classification.includes(next.loss) ? found.classes.length : 1;
    network = new Network([next.features.length, ...next.hidden, outputs], activation, lists.activations.identity,
      lists.losses[next.loss], Math.max(lists.surface ** 2, found.x.length));
    [settings, points] = [next, found];
    drawWeights(activation, next.seed);
    setOptimizer(next);
    inputs = computeInputs(next.features, points);
    [training, test] = splitRows(points, next.test_share, next.seed);
    [order, at, epoch, rowsDone, steps, message, history, repeatable] = [[], 0, 0, 0, 0, "", [], true];
    version++;
    domain = [points.x, points.y].map((axis) => {
      const low = Math.min(...axis), high = Math.max(...axis), edge = high > low ? 0.1 * (high - low) : 1;
      return [low - edge, high + edge];
    });
    record();
  }

  const withChanges = (changes) => {
    for (const name of Object.keys(changes)) choice("setting", name, Object.keys(lists.start));
    return { ...settings, ...changes };
  };

  /* Return the next n rows in the order of this epoch; at its end there may be fewer. */
  function nextRows(n) {
    if (at >= order.length) {
      epoch++;
      at = 0;
      order = shuffled(training, settings.seed, epoch);
    }
    const rows = order.slice(at, at + n);
    at += rows.length;
    return rows;
  }

  /* Take a step on these rows; return whether the training has not diverged. */
  function stepOn(rows) {
    if (!Number.isFinite(network.step(inputs, points.target, rows))) {
      message = `Training diverged: the cost at step ${steps} is not finite, so that step was not taken. `
        + `Use a smaller rate than ${settings.rate}, or scale the inputs and targets to about unit size`;
      return false;
    }
    steps++;
    rowsDone += rows.length;
    message = "";
    return true;
  }

  const costOf = (rows) => rows.length ? six(network.cost(inputs, points.target, rows)) : null;

  /* Add a point to the cost curve; if it has too many, remove every second one. */
  function record() {
    history.push([steps, costOf(training), costOf(test)]);
    if (history.length > lists.limits.history) history = history.filter((_, i) => i % 2 === 0 || i === history.length - 1);
  }

  /* Return the centres of size x size cells of the plane, row by row from the top left, as inputs of the network. */
  function grid(size) {
    const [[left, right], [bottom, top]] = domain, middle = range(size).map((i) => (i + 0.5) / size);
    const cells = range(size * size);
    return computeInputs(settings.features, {
      x: cells.map((cell) => left + (right - left) * middle[cell % size]),
      y: cells.map((cell) => top - (top - bottom) * middle[Math.floor(cell / size)]),
    });
  }

  /* Return the outputs for inputs, (rows, outputs). */
  const outputsOf = (columns, rows) => network.forward(columns, rows).at(-1).a;

  /* Return the share of each class for the outputs of each row: their softmax, or the logistic function of a single output. */
  function shares(outputs) {
    const n = network.widths.at(-1);
    return range(outputs.length / n).map((row) => {
      const scores = n > 1 ? Array.from(outputs.subarray(row * n, (row + 1) * n)) : [0, outputs[row]];
      const largest = Math.max(...scores), raised = scores.map((score) => Math.exp(score - largest));
      const sum = raised.reduce((a, b) => a + b);
      return raised.map((one) => one / sum);
    });
  }

  function accuracy(rows) {
    if (!rows.length) return null;
    const guessed = shares(outputsOf(inputs, rows)).map((of) => of.indexOf(Math.max(...of)));
    return mean(rows.map((row, r) => Number(guessed[r] === points.target[row])));
  }

  function layersOf(gradient) {
    const { size } = lists.thumb, cells = range(size * size), pictured = network.forward(grid(size), cells);
    const pictures = pictured.map(({ a }, k) => range(network.widths[k + 1]).map((j) => centred(column(a, network.widths[k + 1], j))));
    const values = network.byLayer(network.parameters, ["W", "b"]), { layers } = network.passes(inputs, points.target, training);
    return layers.map((layer, k) => {
      const n = network.widths[k + 1], units = range(n);
      const extremes = (matrix) => units.map((j) => { const of = column(matrix, n, j); return [Math.min(...of), Math.max(...of)]; });
      return {
        W: sixes(values[k].W), b: sixes(values[k].b), pictures: pictures[k],
        z: sixes(extremes(layer.z)), a: sixes(extremes(layer.a)),
        slope: sixes(units.map((j) => mean(column(layer.slope, n, j).map(Math.abs)))),
        flow: six(layer.dz.reduce((sum, value) => sum + Math.abs(value), 0) / n),
        dW: sixes(gradient[k].dW), db: sixes(gradient[k].db),
      };
    });
  }

  function surface() {
    const size = lists.surface, outputs = outputsOf(grid(size), range(size * size));
    if (!points.classes.length) return { size, values: base64(new Uint8Array(Float32Array.from(outputs).buffer)) };
    const of = shares(outputs);
    return { size, channels: of[0].map((_, k) => levels(of.map((cell) => cell[k]), 0, 1)) };
  }

  function snapshot() {
    const { cost } = network.passes(inputs, points.target, training), gradient = network.byLayer(network.gradient, ["dW", "db"]);
    const seen = {
      version, steps, message, history, cost: six(cost), test_cost: costOf(test),
      epochs: Number((rowsDone / training.length).toFixed(2)), layers: layersOf(gradient), surface: surface(),
    };
    return points.classes.length ? { ...seen, accuracy: accuracy(training), test_accuracy: accuracy(test) } : seen;
  }

  function scene() {
    const names = settings.features.map((feature) => lists.features[feature].replace(/\{(\d)\}/g, (_, k) => points.axes[k]));
    const { activation, loss } = settings, pictures = grid(lists.thumb.size).map(centred);
    const formulas = ({ formula, derivative }) => ({ formula, derivative });
    return {
      version, settings, domain, test,
      choices: {
        data: lists.data, features: Object.keys(lists.features), activation: Object.keys(lists.activations), losses: losses(points),
        optimizer: Object.keys(lists.optimizers), layers: lists.limits.layers, units: lists.limits.units,
        start: lists.start, table: lists.table ? { name: tableName, columns: Object.values(lists.table.columns) } : null,
      },
      task: points.classes.length ? "classification" : "regression",
      classes: points.classes, axes: points.axes, target: points.name, notes: points.notes, points: tableOf(points),
      inputs: names.map((name, k) => ({ name, picture: pictures[k] })),
      loss: formulas(lists.losses[loss]), activation: formulas(lists.activations[activation]),
    };
  }

  function trace(row) {
    whole("row", row, 0, points.x.length - 1);
    const { cost, dx, layers } = network.passes(inputs, points.target, [row]), gradient = network.byLayer(network.gradient, ["dW", "db"]);
    const label = points.target[row], classes = points.classes.length > 0;
    return {
      row, test: test.includes(row), x: sixes(inputs.map((values) => values[row])), y: classes ? points.classes[label] : six(label),
      shares: classes ? sixes(shares(layers.at(-1).a)[0]) : null, loss: six(cost), dx: sixes(dx),
      layers: layers.map((layer, k) => ({
        ...Object.fromEntries(Object.entries(layer).map(([name, values]) => [name, sixes(values)])),
        dW: sixes(gradient[k].dW), db: sixes(gradient[k].db),
      })),
    };
  }

  apply(lists.first);
  return {
    scene: async () => scene(),
    snapshot: async () => snapshot(),
    configure: async (changes) => { apply(withChanges(changes)); return scene(); },
    restart: async (changes = {}) => { apply(withChanges(changes), true); return scene(); },
    async train(wanted) {
      whole("steps", wanted, 1);
      const end = performance.now() + 1000 * lists.limits.seconds;
      for (let step = 0; step < wanted; step++) if (!stepOn(nextRows(settings.batch_size)) || performance.now() > end) break;
      record();
      return snapshot();
    },
    async stepExample() {
      const row = nextRows(1), traced = trace(row[0]);
      stepOn(row);
      repeatable = false;
      record();
      return { trace: traced, snapshot: snapshot() };
    },
    trace: async (row) => trace(row),
    async edit(from, values) {
      whole("at", from, 0);
      const fits = Array.isArray(values) && values.length > 0 && from + values.length <= network.size;
      if (!fits) refuse(`values must be 1 to ${network.size} numbers that end within the parameters`);
      for (const value of values) numeric("a parameter", value, -Infinity);
      network.parameters.set(values, from);
      message = "";
      repeatable = false;
      record();
      return snapshot();
    },
    async state() {
      const parameters = Array.from(network.parameters, (value) => Number.isFinite(value) ? value : null);
      return { settings, steps, repeatable, parameters };
    },
    async thumbnails() {
      const names = Object.values(lists.data).flat();
      return Object.fromEntries(names.map((name) => [name, tableOf(makePoints(name, ...lists.thumb.points))]));
    },
  };
}
