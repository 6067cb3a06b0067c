// What is wrong with a training, in words, from the numbers of a snapshot.

import { number } from "./playground_draw.js";

const FLAT = 0.005; // mean |g'(z)|: half a percent of what tanh has at 0
const FADED = 1e-3; // share of the gradient of the last layer that arrives at the first
const RISEN = 3; // times the cost before the first step
const LARGE_RATE = 30; // with which one step moves weights by more than they ever should be
const NAMED = 3; // neurons of a layer, so that a sentence stays short
const SMALL_RATE = 1e-6, MANY_STEPS = 50; // that many steps change weights by less than a ten-thousandth
const SMALL_WEIGHT = 0.02; // two such layers scale a number by less than a thousandth
const LARGE_WEIGHT = 1000; // beyond any that these points need

const join = (names) => names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names[names.length - 1]}`;

/* Return warnings, {kind, text, units}, with the units that one is about, {layer, unit}. */
export function warningsOf({ settings }, snapshot) {
  const penalty = ofPenalty(settings, snapshot.layers);
  return [...ofRate(settings, snapshot), ...penalty, ...ofUnits(snapshot.layers), ...(penalty.length ? [] : ofFlow(snapshot.layers))];
}

function ofRate(settings, snapshot) {
  const first = snapshot.history[0][1], rate = number(settings.rate), found = [];
  const far = Math.max(...snapshot.layers.flatMap(({ W, b }) => [...W.flat(), ...b]).map((value) => value === null ? Infinity : Math.abs(value)));
  const risen = snapshot.steps > 0 && first !== null && (snapshot.cost === null || snapshot.cost > RISEN * first);
  const advice = `Restart with a smaller rate${settings.rate > 1 ? ", such as 0.01" : ""}.`;
  if (risen) {
    found.push(`The rate ${rate} is too large: every step goes too far, and the cost rose from ${number(first)} to ${number(snapshot.cost)}. ${advice}`);
  } else if (snapshot.steps > 0 && far > LARGE_WEIGHT) {
    found.push(`The rate ${rate} is too large: a weight or bias has the size ${number(far)}, where less than 10 is usual. ${advice}`);
  } else if (settings.rate > LARGE_RATE) {
    found.push(`The rate ${rate} is too large: a step will change weights by far more than their size. Rates are usually between 0.0001 and 1.`);
  }
  if (settings.rate < SMALL_RATE && snapshot.steps >= MANY_STEPS) {
    found.push(`The rate ${rate} is so small that nothing is learned: after ${snapshot.steps.toLocaleString("en")} steps the cost is ${number(snapshot.cost)}, before them it was ${number(first)}.`);
  }
  return found.map((text) => ({ kind: "rate", text, units: [] }));
}

function ofPenalty({ rate, l1, l2 }, layers) {
  const far = Math.max(...layers.flatMap(({ W }) => W.flat()).map((w) => Math.abs(w ?? Infinity)));
  const text = rate * l2 > 1 ? `L2 times the rate is ${number(rate * l2)}: with SGD, a step by the penalty alone goes beyond 0. Choose a smaller L2.`
    : (l1 || l2) && far < SMALL_WEIGHT ? `The penalty outweighs the cost: no weight is larger than ${number(far, 2)}, so the network hardly sees its inputs. Choose a smaller ${l1 ? "L1" : "L2"}.` : null;
  return text ? [{ kind: "penalty", text, units: [] }] : [];
}

function ofUnits(layers) {
  const kinds = { dead: [], saturated: [] };
  layers.forEach(({ a, slope }, at) => slope.forEach((mean, unit) => {
    if (mean !== null && mean < FLAT) kinds[mean === 0 && a[unit][0] === 0 && a[unit][1] === 0 ? "dead" : "saturated"].push({ layer: at + 1, unit });
  }));
  return Object.entries(kinds).filter(([, units]) => units.length).map(([kind, units]) => {
    const many = units.length > 1, { layer, unit } = units[0], [low, high] = layers[layer - 1].z[unit], z = `z${layer}[${unit}]`;
    const range = many ? "" : ` (${z} is ${low === high ? number(low) : `between ${number(low)} and ${number(high)}`})`;
    const slope = number(Math.max(...units.map((one) => layers[one.layer - 1].slope[one.unit])), 2);
    const text = `${nameUnits(layers, units).replace(/^all/, "All")} ${many ? "are" : "is"} ` + (kind === "dead"
      ? `dead: for every training point z is negative${range}, where output, slope g'(z) and gradient are 0, so no step changes ${many ? "their weights" : "its weights"} again. A smaller rate, or another activation, avoids this.`
      : `saturated: z is so far from 0${range} that the activation is flat. Its slope g'(z) is ${many && slope !== "0" ? "at most " : ""}${slope} on average over the training points, so ${many ? "their" : "its"} weights hardly learn. Smaller weights, or a smaller rate, avoid this.`);
    return { kind, text, units };
  });
}

// Return the names of units, or how many they are where a layer has more than NAMED of them; the drawing marks them.
function nameUnits(layers, units) {
  return join(layers.flatMap((layer, at) => {
    const here = units.filter((one) => one.layer === at + 1).map(({ unit }) => `a${at + 1}[${unit}]`), n = layer.b.length;
    if (here.length > 1 && here.length === n) return [`all neurons of layer ${at + 1}`];
    return here.length > NAMED ? [`${here.length} of ${n} neurons of layer ${at + 1}`] : here;
  }));
}

function ofFlow(layers) {
  if (layers.length < 3) return [];
  const first = layers[0].flow, last = layers[layers.length - 1].flow;
  if (!first || !last || !(first < FADED * last || first > last / FADED)) return [];
  const kind = first < last ? "vanish" : "explode";
  return [{ kind: `gradients ${kind}`, units: [],
    text: `Gradients ${kind}: |dL/dz| is ${number(last)} on average at the output and ${number(first)} in layer 1. On the way back, each layer multiplies it by its weights and by g'(z). ${kind === "vanish" ? "Fewer layers, or an activation of larger slope, keep more of it." : "Smaller weights keep it smaller."}` }];
}
