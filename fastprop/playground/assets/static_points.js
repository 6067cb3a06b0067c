// Points in the plane to learn from, as datasets.py makes them; the inputs of a network for points, as features.py.

import { Random, shuffled } from "./static_network.js";

const POINTS = 2; // the stream of random numbers, as in random.py
const SIZE = 3; // the distance from the middle of a set to its edge

/* Return the nearest integer, ties to even, as NumPy and Python round. */
const nearestEven = (x) => {
  const low = Math.floor(x), over = x - low;
  return over > 0.5 || (over === 0.5 && low % 2) ? low + 1 : low;
};
const rounded = (x) => nearestEven(x * 1e6) / 1e6;
const times = (n, of) => Array.from({ length: n }, (_, i) => of(i));

/* Return the x and y of points from numbers that were drawn for them in turn. */
const pairs = (drawn) => [drawn.filter((_, i) => i % 2 === 0), drawn.filter((_, i) => i % 2)];

/* Add noise to the points [x, y] of some labels. */
function noisy(points, labels, deviation, random) {
  const [x, y] = pairs(random.normal(0, 1, 2 * labels.length));
  return { x: points.map((p, i) => p[0] + deviation * x[i]), y: points.map((p, i) => p[1] + deviation * y[i]), target: labels };
}

const CLASSES = {
  circles(n, noise, random) {
    const inner = random.uniform(0, 0.5, n), outer = random.uniform(0.75, 1, n), angle = random.uniform(0, 2 * Math.PI, n);
    const labels = times(n, (i) => i % 2), radius = times(n, (i) => labels[i] ? outer[i] : inner[i]);
    return noisy(times(n, (i) => [radius[i] * Math.cos(angle[i]), radius[i] * Math.sin(angle[i])]), labels, noise * 0.5, random);
  },
  xor(n, noise, random) {
    const [x, y] = pairs(random.uniform(-1, 1, 2 * n)).map((axis) => axis.map((at) => at + 0.08 * Math.sign(at)));
    return noisy(times(n, (i) => [x[i], y[i]]), times(n, (i) => Number(x[i] * y[i] < 0)), noise * 0.5, random);
  },
  spirals(n, noise, random) {
    const labels = times(n, (i) => i % 2), along = random.uniform(0.02, 1, n).map(Math.sqrt);
    const angle = times(n, (i) => 1.25 * 2 * Math.PI * along[i] + Math.PI * labels[i]);
    return noisy(times(n, (i) => [along[i] * Math.sin(angle[i]), along[i] * Math.cos(angle[i])]), labels, noise * 0.2, random);
  },
  gaussians(n, noise, random) {
    const labels = times(n, (i) => i % 3), angle = labels.map((label) => 2 * Math.PI * label / 3 + Math.PI / 2);
    return noisy(angle.map((at) => [0.65 * Math.cos(at), 0.65 * Math.sin(at)]), labels, 0.12 + 0.5 * noise, random);
  },
  moons(n, noise, random) {
    const labels = times(n, (i) => i % 2), angle = random.uniform(0, Math.PI, n);
    const half = times(n, (i) => (labels[i] ? -0.7 : 0.7));
    return noisy(times(n, (i) => [half[i] * (Math.cos(angle[i]) - 0.5), half[i] * (Math.sin(angle[i]) - 0.25)]), labels, noise * 0.35, random);
  },
};

/* Return points of a square, whose values a function of x and y gives, with noise. */
const valued = (of) => (n, noise, random) => {
  const [x, y] = pairs(random.uniform(-1, 1, 2 * n)), errors = random.normal(0, 1, n);
  return { x, y, target: times(n, (i) => of(x[i], y[i]) + noise * errors[i]) };
};
const NUMBERS = {
  plane: valued((x, y) => x + y),
  ripple: valued((x, y) => Math.cos(6 * Math.hypot(x, y))),
};

/* Return n points of the set with this name: x, y and target, each (n,), and the names of the classes. */
export function makePoints(name, n, noise, seed) {
  const made = { ...CLASSES, ...NUMBERS }[name](n, noise, new Random(seed, POINTS));
  const points = { x: Array.from(made.x, (at) => rounded(SIZE * at)), y: Array.from(made.y, (at) => rounded(SIZE * at)), target: made.target,
    axes: ["x1", "x2"], notes: [], classes: [], name: "class" };
  if (name in CLASSES) return { ...points, classes: times(Math.max(...made.target) + 1, String) };
  const mean = made.target.reduce((sum, value) => sum + value) / n;
  const deviation = Math.sqrt(made.target.reduce((sum, value) => sum + (value - mean) ** 2, 0) / n);
  return { ...points, target: made.target.map((value) => rounded((value - mean) / deviation)), name: "value" };
}

/* Return points as the page shows them, [x1, x2, label or value], to four decimals. */
export const tableOf = ({ x, y, target }) => x.map((at, i) => [at, y[i], target[i]].map((value) => nearestEven(value * 1e4) / 1e4));

/* Return training and test rows, ascending: a share of each class for testing, as target.py's split_in_order. */
export function splitRows(points, share, seed) {
  const order = shuffled(points.x.map((_, i) => i), seed, 0), label = points.classes.length ? points.target : points.x.map(() => 0);
  order.sort((a, b) => label[a] - label[b]); // stable
  const total = (n) => Math.floor(n * share + 1e-9);
  const isTest = (row, at) => total(at + 1) > total(at) && at > 0 && label[row] === label[order[at - 1]];
  const ascending = (rows) => rows.sort((a, b) => a - b);
  return [ascending(order.filter((row, at) => !isTest(row, at))), ascending(order.filter(isTest))];
}

/* The functions of the two coordinates that may be inputs, by the names that settings hold. */
const FEATURES = {
  "x1": (x1) => x1,
  "x2": (x1, x2) => x2,
  "x1^2": (x1) => x1 * x1,
  "x2^2": (x1, x2) => x2 * x2,
  "x1 x2": (x1, x2) => x1 * x2,
  "sin x1": (x1) => Math.sin(x1),
  "sin x2": (x1, x2) => Math.sin(x2),
};

/* Return the inputs of the network, a column for each feature. */
export const computeInputs = (features, { x, y }) => features.map((feature) => x.map((at, i) => FEATURES[feature](at, y[i])));
