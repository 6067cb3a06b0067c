// The network of the page without a server: the C kernels of fastprop, compiled from src_c/wasm/playground.c to WebAssembly.

const HYPER = 16; // the most hyperparameters of an activation, a loss or an optimiser: FP_HYPER of src_c/core.h
const ARRAYS = ["z", "a", "slope", "da", "dz"]; // of each layer, in the order of src_c/wasm/playground.c

let wasm = null; // the functions and the memory of the compiled module

export async function loadNetwork(bytes) {
  wasm = (await WebAssembly.instantiate(bytes)).instance.exports;
  wasm._initialize();
}

const floats = (at, n) => new Float64Array(wasm.memory.buffer, at, n);

function setHyper(at, values) {
  floats(at, HYPER).fill(0).set(values);
}

/* Numbers of a stream, one after another: those of random.py. */
export class Random {
  constructor(seed, stream) {
    Object.assign(this, { seed, stream, drawn: 0 });
  }

  bits() {
    return wasm.random(this.seed, this.stream, this.drawn++) >>> 0;
  }

  uniform(low, high, n) {
    return Float64Array.from({ length: n }, () => low + (high - low) * ((this.bits() + 0.5) / 2 ** 32));
  }

  normal(mean, deviation, n) {
    const summed = 12; // uniform numbers in a normal one
    return Float64Array.from({ length: n }, () => {
      let sum = 0;
      for (let part = 0; part < summed; part++) sum += this.bits();
      return mean + deviation * ((sum + summed / 2) / 2 ** 32 - summed / 2);
    });
  }
}

/* Return rows in a random order that depends on seed and epoch, as the engine shuffles them. */
export function shuffled(rows, seed, epoch) {
  const order = new BigInt64Array(wasm.memory.buffer, wasm.shuffle(rows.length, seed, epoch), rows.length);
  return Array.from(order, (at) => rows[Number(at)]);
}

/* The one network of the page. Making another one takes the place of the one before. */
export class Network {
  /* widths: of the inputs and of each layer; activation: of the hidden layers, identity: of the last one; loss: all three as
   * the page's lists describe them; mostRows: the most rows of a call. */
  constructor(widths, activation, identity, loss, mostRows) {
    const layers = widths.length - 1;
    widths.slice(1).forEach((width, k) => {
      const of = k < layers - 1 ? activation : identity;
      wasm.set_layer(k, widths[k], width, of.id);
      setHyper(wasm.hyper(k), of.hyper);
    });
    setHyper(wasm.hyper(layers), loss.hyper);
    const labels = loss.targets === "classes", signs = loss.targets === "signs"; // signs are -1 and 1, of the labels 0 and 1
    Object.assign(this, { widths, layers, labels, signs, size: wasm.build(layers, loss.id, labels, mostRows) });
    if (this.size < 0) throw new Error("There is not enough memory for this network.");
  }

  setOptimizer({ id, hyper }, rate, l1, l2) {
    setHyper(wasm.optimizer_hyper(), hyper);
    wasm.set_optimizer(id, rate, l1, l2);
  }

  get parameters() { return floats(wasm.theta(), this.size); }
  get gradient() { return floats(wasm.gradient(), this.size); }

  /* Set the rows of the next call: those of inputs, an array of columns, and of targets where they matter. */
  take(inputs, targets, rows) {
    const x = floats(wasm.x(), rows.length * inputs.length);
    rows.forEach((row, r) => inputs.forEach((column, c) => { x[r * inputs.length + c] = column[row]; }));
    if (!targets) return;
    if (this.labels) {
      const label = new BigInt64Array(wasm.memory.buffer, wasm.label(), rows.length);
      rows.forEach((row, r) => { label[r] = BigInt(targets[row]); });
    } else {
      const y = floats(wasm.y(), rows.length);
      rows.forEach((row, r) => { y[r] = this.signs ? 2 * targets[row] - 1 : targets[row]; });
    }
  }

  /* Take a step on these rows; return their mean loss before it. There is no step if that is not finite. */
  step(inputs, targets, rows) {
    this.take(inputs, targets, rows);
    return wasm.step(rows.length);
  }

  cost(inputs, targets, rows) {
    this.take(inputs, targets, rows);
    return wasm.cost(rows.length);
  }

  /* Run both passes: return the cost of the rows, `dx` and, of each layer, z, a, slope, da and dz, each (rows, units). */
  passes(inputs, targets, rows) {
    this.take(inputs, targets, rows);
    const cost = wasm.passes(rows.length);
    wasm.slopes(rows.length);
    return { cost, dx: floats(wasm.dx(), rows.length * this.widths[0]), layers: this.arrays(rows.length, ARRAYS) };
  }

  /* Run the forward pass: return `z` and `a` of each layer, each (rows, units). */
  forward(inputs, rows) {
    this.take(inputs, null, rows);
    wasm.forward(rows.length);
    return this.arrays(rows.length, ARRAYS.slice(0, 2));
  }

  arrays(rows, names) {
    return this.widths.slice(1).map((width, k) =>
      Object.fromEntries(names.map((name, kind) => [name, floats(wasm.array(kind, k), rows * width)])));
  }

  /* Return weights and biases of each layer from parameters, or from a gradient, which is laid out alike. */
  byLayer(numbers, [W, b]) {
    let start = 0;
    return this.widths.slice(1).map((width, k) => {
      const row = (i) => numbers.subarray(start + i * width, start + (i + 1) * width);
      const weights = Array.from({ length: this.widths[k] }, (_, i) => Array.from(row(i))), biases = Array.from(row(this.widths[k]));
      start += (this.widths[k] + 1) * width;
      return { [W]: weights, [b]: biases };
    });
  }
}
