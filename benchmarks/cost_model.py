"""What a step costs on many machines, on paper: the alpha-beta model of messages, fed by the steps that were measured.

    python benchmarks/cost_model.py [results/sapphire_rapids/distributed.json]     # the tables of the guide's page

A message of n bytes takes alpha + n beta seconds, and adding n bytes to others n gamma. p machines add up an array of n
bytes, after Thakur, Rabenseifner and Gropp (2005), *Optimization of collective communication operations in MPICH*, in

- recursive doubling: log2(p) (alpha + n beta + n gamma), best for few bytes;
- Rabenseifner's reduce-scatter and allgather: 2 log2(p) alpha + 2 n (p-1)/p beta + n (p-1)/p gamma;
- a ring: 2 (p-1) alpha + 2 n (p-1)/p beta + n (p-1)/p gamma, with each machine's links to two neighbours only.

log2 is rounded up. Nobody else uses the network, and all machines are equally fast: both are better than in life.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from math import ceil, log2
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results" / "sapphire_rapids" / "distributed.json"
MIN_SUMMED_BYTES = 1 << 20  # as in the engine: a part of the gradient that is summed while the rest is computed


@dataclass(frozen=True)
class Wire:
    """A network: seconds of latency of a message, and bits a second."""

    name: str
    alpha: float
    rate: float

    @property
    def beta(self):
        """Seconds per byte."""
        return 8 / self.rate


# TCP through the kernel on 10 Gb/s Ethernet, RDMA (InfiniBand or RoCE) on 100 Gb/s: the order of what MPI's latency
# tests show on such networks. They were not measured.
WIRES = (Wire("10 GbE", 25e-6, 10e9), Wire("100 Gb/s", 2e-6, 100e9))


def ring(n, p, wire, gamma):
    """Return the seconds of a sum of n bytes over p machines in a ring."""
    return 2 * (p - 1) * wire.alpha + (p - 1) / p * n * (2 * wire.beta + gamma)


def rabenseifner(n, p, wire, gamma):
    """Return the seconds of a sum of n bytes over p machines by reduce-scatter and allgather."""
    return 2 * ceil(log2(p)) * wire.alpha + (p - 1) / p * n * (2 * wire.beta + gamma)


def recursive_doubling(n, p, wire, gamma):
    """Return the seconds of a sum of n bytes over p machines that exchange whole arrays."""
    return ceil(log2(p)) * (wire.alpha + n * (wire.beta + gamma))


def allreduce(n, p, wire, gamma):
    """Return the seconds of a sum by the best of the three."""
    return min(way(n, p, wire, gamma) for way in (ring, rabenseifner, recursive_doubling))


@dataclass(frozen=True)
class Measured:
    """A network of layers on one rank: microseconds become seconds, and its time is linear in the rows."""

    name: str
    widths: tuple
    fixed: float  # seconds of a step without rows
    per_row: float
    overhead: float  # seconds beside the sum: those of the communicator, and a pass over the gradient
    gamma: float  # seconds to add a byte

    @property
    def layers(self):
        """The bytes of the gradient of each layer, in float32, the first layer first."""
        return [4 * (i + 1) * o for i, o in zip(self.widths, self.widths[1:], strict=False)]

    def alone(self, rows, cores=1):
        """Return the seconds of a step of one process, on cores that share it perfectly."""
        return (self.fixed + self.per_row * rows) / cores

    def parts(self, seconds):
        """Return how the engine computes and sums a step of `seconds`: pairs of seconds, and then bytes to sum.

        Of a step, the sums of x^T dz of the layers come last, the last layer first. Each product of a layer takes the
        same time, and the first has none for its input.
        """
        weights = [i * o for i, o in zip(self.widths, self.widths[1:], strict=False)]
        products = [seconds * weight / (3 * sum(weights) - weights[0]) for weight in weights]
        parts, taken, size = [], seconds - sum(products), 0
        for product, layer in zip(products[::-1], self.layers[::-1], strict=True):
            taken, size = taken + product, size + layer
            if size >= MIN_SUMMED_BYTES:
                parts.append((taken, size))
                taken, size = 0.0, 0
        return parts if size == 0 else [*parts, (taken, size)]

    def step(self, rows, p, wire, cores=1, overlap=True):
        """Return the seconds of a step of p machines with so many rows each."""
        alone = self.alone(rows, cores)
        if p == 1:
            return alone
        parts = self.parts(alone) if overlap else [(alone, sum(self.layers))]
        now = summed = 0.0  # the wire is free again at `summed`
        for seconds, size in parts:
            now += seconds
            summed = max(now, summed) + allreduce(size, p, wire, self.gamma)
        return summed + self.overhead

    def efficiency(self, rows, p, wire, cores=1, overlap=True):
        """Return the weak scaling: rows a second of p machines / p times those of one, with the same rows for each."""
        return self.alone(rows, cores) / self.step(rows, p, wire, cores, overlap)

    def speed_up(self, batch, p, wire, cores=1):
        """Return the strong scaling: the time of one machine / that of p, for a batch of all together."""
        return self.alone(batch, cores) / self.step(batch / p, p, wire, cores)


def widths_of(name):
    """Return the widths of a name such as 1024x4-10."""
    widths = []
    for part in name.split("-"):
        width, _, times = part.partition("x")
        widths += [int(width)] * int(times or 1)
    return tuple(widths)


def measured(result):
    """Return the networks of a results file of distributed.py, over two ranks of MPI, each timed with two batches."""
    cases = {}
    for each in result["measurements"]:
        if (each["carrier"], each["ranks"]) == ("mpi", 2) and "/" in each["case"]:
            name, rows = each["case"].split("/")
            cases.setdefault(name, {}).setdefault(int(rows), {})[each["contestant"]] = each["value"] / 1e6
    found = {}
    for name, batches in cases.items():
        if len(batches) < 2:
            continue
        (few, first), (many, last) = sorted(batches.items())
        per_row = (last["epoch alone"] - first["epoch alone"]) / (many - few)
        fixed = max(0.0, first["epoch alone"] - few * per_row)
        size = 4 * sum((i + 1) * o for i, o in zip(widths_of(name), widths_of(name)[1:], strict=False))
        over = max(0.0, first["communicator"] - first["sum"]) + first["pass"]
        found[name] = Measured(name, widths_of(name), fixed, per_row, over, first["pass"] / size)
    return found


# network, rows of each machine, cores of each
CASES = (
    ("64-128-10", 32, 1),
    ("64-128-10", 1024, 1),
    ("1024x4-10", 512, 1),
    ("1024x4-10", 512, 16),
    ("1024x4-10", 8192, 16),
)
MACHINES = (2, 8, 32, 128, 1000)
BATCHES = (("64-128-10", 1024, 1), ("1024x4-10", 8192, 1), ("1024x4-10", 8192, 16))


def table(header, rows):
    """Return a table in Markdown."""
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [header, ["---"] * len(header), *rows])


def weak(networks):
    """Return the table of weak scaling."""
    rows = []
    for name, each, cores in CASES:
        network = networks[name]
        for wire in WIRES:
            values = [f"{network.efficiency(each, p, wire, cores):.2f}" for p in MACHINES]
            rows.append([name, each, cores, f"{network.alone(each, cores) * 1e3:.3g}", wire.name, *values])
    head = ["network", "rows of each", "cores of each", "ms alone", "wire", *(f"{p} machines" for p in MACHINES)]
    return table(head, rows)


def strong(networks):
    """Return the table of strong scaling."""
    rows = []
    for name, batch, cores in BATCHES:
        for wire in WIRES:
            values = [f"{networks[name].speed_up(batch, p, wire, cores):.2f}" for p in MACHINES]
            rows.append([name, batch, cores, wire.name, *values])
    return table(["network", "batch of all", "cores of each", "wire", *(f"{p} machines" for p in MACHINES)], rows)


def main(argv=None):
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="?", type=Path, default=RESULTS)
    networks = measured(json.loads(parser.parse_args(argv).results.read_text()))
    print(weak(networks), strong(networks), sep="\n\n")


if __name__ == "__main__":
    sys.exit(main())
