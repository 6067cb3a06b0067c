"""The cases of every kernel: arguments, the results of the twin, and how far apart both may be.

A bound is a count of roundings, never a guess. A sum of k products in any order, fused or not, is within
k u sum |terms| of the exact one, u = eps / 2 (Higham 2002, "Accuracy and Stability of Numerical Algorithms", 3.1). The
float64 twin rounds too, so every bound here counts eps where the kernel alone would need u.
"""

import re
from functools import cache
from itertools import cycle, product
from pathlib import Path

import cases_inputs
import cases_losses
import cases_optimizers
import cases_rows
import numpy as np
import reference
from cases_activations import (
    ACTIVATIONS,
    HYPER,
    SAVES_OUTPUT,
    SHARPEST,
    STEEPEST,
    hyper_of,
    numbers_of,
    saved_bound,
    saved_of,
    slope_bound,
    usual,
    value_bound,
)  # fmt: skip
from kernel_draws import LENGTHS, ROWS, WIDTHS, Case, Drawer, wide

from fastprop._core import _engine

PRODUCT_H = Path(__file__).parents[2] / "src_c" / "kernels" / "product.h"

# the products of a dense layer


def edges():
    """Return the sizes of product.h at which a product takes another branch, by name."""
    found = re.findall(r"^#define FP_((?:PACK|SCALAR|WIDE)_\w+) (\d+)", PRODUCT_H.read_text(), re.MULTILINE)
    wanted = "FP_PACK_..., FP_SCALAR_..., FP_WIDE_..."
    assert len(found) >= 6, f"got {found} from {PRODUCT_H}, wanted {wanted}; say what they are now"
    return {name: int(number) for name, number in found}


def product_shapes(itemsize):
    """Yield (m, n, k) of C (m, n) = A (m, k) B (k, n), on both sides of every size where the code branches."""
    yield from product(ROWS, WIDTHS, [0, 1, 3, 17])
    usual = (53, 75, 69)  # several tiles in each direction, incomplete ones at the ends, and large enough to be packed
    yield usual
    for name, number in edges().items():
        if name == "PACK_ROW_BYTES":  # from row to row of A; it is packed if C has many tiles of rows
            yield from ((150, 300, number // itemsize + more) for more in (-1, 0, 1))
        elif name.endswith("_TILES"):  # of the rows of each ISA
            yield from ((number * mr + more, 150, 75) for mr in (6, 8, 14) for more in (0, 1))
        elif name == "PACK_VECTORS":
            yield from ((150, lanes * number + more, 75) for lanes in (2, 4, 8, 16) for more in (-1, 0))
        elif name == "WIDE_VECTORS":  # of AVX2; the last panel is of one, two or three vectors
            yield from (
                (57, 32 // itemsize * (number + left) + more, 75) for left in range(3) for more in (-1, 0, 1)
            )
        elif name.endswith("_PRODUCT"):  # m n k
            yield from (
                (*[1] * axis, number + more, *[1] * (2 - axis)) for axis in range(3) for more in (-1, 0, 1)
            )
    yield from product([64, 300], [2, 10, 17, 21, 31], [31, 32, 600])  # C^T fills more lanes than C
    yield from product([40, 61], [6, 11, 14, 20, 24, 30, 70], [1, 8, 9, 400])  # skinny.h: shallow, or few vectors wide
    yield 300, 300, 300  # several blocks of k, and deep enough to prefetch the next panel
    yield 560, 140, 300  # several blocks of rows
    yield from product([1, 2], [40, 64, 70, 100, 112, 128, 129, 260], [3, 70])  # few rows: tiles of up to eight vectors
    yield 1, 3000, 5  # many columns of B^T
    yield 2, 1, 4097  # a long sum
    yield from ((rows, 1, 40) for rows in (*WIDTHS, 300))  # one column, which may be treated as a row


def scratch(draw, rows, n_in, n_out):
    """Return as much scratch memory as the engine provides."""
    return draw.nan(_engine.scratch(rows, n_in, n_out, draw.dtype.itemsize))


def dense_forward(dtype):
    draw = Drawer(dtype)
    for (rows, n_out, n_in), name, biased in zip(
        product_shapes(draw.dtype.itemsize), cycle(ACTIVATIONS), cycle([True, True, False]), strict=False
    ):
        x, w, b = draw.normal(rows, n_in), draw.normal(n_in, n_out), draw.normal(n_out) if biased else None
        z = reference.KERNELS["dense_forward"](wide(x), wide(w), wide(b))[0]
        a, saved = reference.KERNELS["dense_forward"](wide(x), wide(w), wide(b), name)
        terms = np.abs(wide(x)) @ np.abs(wide(w)) + (np.abs(wide(b)) if biased else 0)
        error = (n_in + 1) * draw.eps * terms  # of z
        outputs = {"a": a} if saved is None else {"a": a, "saved": saved}
        yield Case(
            {"a": draw.nan(rows, n_out), "saved": None if saved is None else draw.nan(rows, n_out),
             "x": x, "w": w, "b": b, "scratch": scratch(draw, rows, n_in, n_out),
             "rows": rows, "n_in": n_in, "n_out": n_out, "activation": ACTIVATIONS.index(name),
             "hyper": hyper_of(usual(name))},
            outputs,
            {"a": STEEPEST.get(name, 1) * error + value_bound(draw, name, z, a),
             "saved": SHARPEST.get(name, 1) * error + saved_bound(draw, name, z, usual(name))},
        )  # fmt: skip


def dense_input_gradient(dtype):
    draw = Drawer(dtype)
    for (rows, n_in, n_out), name in zip(product_shapes(draw.dtype.itemsize), cycle(ACTIVATIONS), strict=False):
        dz, w = draw.normal(rows, n_out), draw.normal(n_in, n_out)
        saved = saved_of(draw, name, draw.normal(rows, n_in))
        read = None if name == "identity" else wide(saved)
        dx = reference.KERNELS["dense_input_gradient"](wide(dz), wide(w), read, name)
        terms = STEEPEST.get(name, 1) * np.abs(wide(dz)) @ np.abs(wide(w)).T
        yield Case(
            {"dx": draw.nan(rows, n_in), "dz": dz, "w": w, "saved": draw.nan(rows, n_in) if read is None else saved,
             "scratch": scratch(draw, rows, n_in, n_out),
             "rows": rows, "n_in": n_in, "n_out": n_out, "activation": ACTIVATIONS.index(name),
             "hyper": hyper_of(usual(name))},
            {"dx": dx},
            {"dx": n_out * draw.eps * terms + slope_bound(draw, name, wide(dz) @ wide(w).T)},
        )  # fmt: skip


def dense_weight_gradient(dtype):
    draw = Drawer(dtype)
    for (n_in, n_out, rows), (accumulate, with_db) in zip(
        product_shapes(draw.dtype.itemsize), cycle(product([0, 1], [True, True, False])), strict=False
    ):
        x, dz = draw.normal(rows, n_in), draw.normal(rows, n_out)
        there = draw.normal if accumulate else draw.nan
        dw, db = there(n_in, n_out), there(n_out) if with_db else None
        before = (wide(dw), wide(db) if with_db else 0.0) if accumulate else (0.0, 0.0)
        expected = reference.KERNELS["dense_weight_gradient"](wide(x), wide(dz), *before)
        terms = np.abs(before[0]) + np.abs(wide(x)).T @ np.abs(wide(dz)), np.abs(before[1]) + np.abs(wide(dz)).sum(0)
        written = ("dw", "db") if with_db else ("dw",)
        yield Case(
            {"dw": dw, "db": db, "x": x, "dz": dz, "scratch": scratch(draw, rows, n_in, n_out),
             "rows": rows, "n_in": n_in, "n_out": n_out, "accumulate": accumulate},
            dict(zip(written, expected, strict=False)),
            {name: (rows + 1) * draw.eps * t for name, t in zip(written, terms, strict=False)},
        )  # fmt: skip


def dense_sgd_step(dtype):
    draw, rate = Drawer(dtype), 0.1
    for (n_in, n_out, rows), (accumulate, with_db), decays in zip(
        product_shapes(draw.dtype.itemsize), cycle(product([0, 1], [True, True, False])),
        cycle([(0.0, 0.0), (0.3, 0.0), (0.0, 0.2), (0.3, 0.2)]), strict=False,
    ):  # fmt: skip
        w, x, dz = draw.normal(n_in, n_out), draw.normal(rows, n_in), draw.normal(rows, n_out)
        there = draw.normal if accumulate else draw.nan
        dw, db = there(n_in, n_out), there(n_out) if with_db else None
        before = (wide(dw), wide(db) if with_db else 0.0) if accumulate else (0.0, 0.0)
        hyper = (*decays, 0.0, 0.0)
        expected = reference.KERNELS["dense_sgd_step"](wide(w), wide(x), wide(dz), rate, hyper, *before)
        terms = np.abs(before[0]) + np.abs(wide(x)).T @ np.abs(wide(dz)), np.abs(before[1]) + np.abs(wide(dz)).sum(0)
        step = rate * ((rows + 1) * terms[0] + 4 * (terms[0] + np.abs(wide(w))))  # the sum's roundings, and the step's
        written = ("w", "db") if with_db else ("w",)
        yield Case(
            {"w": w, "dw": dw, "db": db, "x": x, "dz": dz, "scratch": scratch(draw, rows, n_in, n_out),
             "rows": rows, "n_in": n_in, "n_out": n_out, "accumulate": accumulate, "rate": rate,
             "hyper": hyper_of(hyper)},
            dict(zip(written, expected, strict=False)),
            {"w": draw.eps * (step + 2 * np.abs(wide(w))), "db": (rows + 1) * draw.eps * terms[1]},
        )  # fmt: skip


# both passes in one kernel


# their slopes are at most 2 |a - y| + 2
TINY_LOSSES = ("half_mse", "squared_error", "cross_entropy", "binary_cross_entropy")


def small_networks(draw):
    """Yield networks of a few numbers, as the arguments of both kernels, and each one's twin and roundings."""
    shapes = [(1, 1), (1, 1, 1, 1), (2, 4, 1), (3, 2, 2), (1, 3, 2, 4), (5, 1, 1), (17, 2)]
    for widths, rows, loss, indexed in product(shapes, [1, 2, 5], TINY_LOSSES, [True, False]):
        if loss == "cross_entropy" and widths[-1] == 1:
            continue
        names = [SAVES_OUTPUT[draw.rng.integers(len(SAVES_OUTPUT))] for _ in widths[1:]]
        theta, x = draw.normal(reference.n_parameters(widths)), draw.normal(9, widths[0])
        y, label = cases_losses.draw_target(draw, loss, 9, widths[-1])
        index = draw.rng.integers(9, size=rows) if indexed else None
        read = np.arange(rows) if index is None else index
        twin = [wide(theta), wide(x), wide(y), label, read, widths, names, loss]
        arguments = {
            "cost": np.array([1.5]), "gradient": draw.nan(theta.size), "work": draw.nan(2 * sum(widths[1:])),
            "theta": theta, "x": x, "y": y, "label": label, "index": index, "widths": np.array(widths, np.intp),
            "activations": np.array([ACTIVATIONS.index(name) for name in names], np.intc), "layers": len(names),
            "rows": rows, "loss": _engine.names("loss").index(loss),
            "hyper": np.concatenate([*(hyper_of(usual(name)) for name in names), np.zeros(HYPER)]),
        }  # fmt: skip
        yield arguments, twin


def small_network_bounds(draw, arguments, twin, scale):
    """Return the bounds of the cost and of the gradient of scale times the cost."""
    theta, x, y, _, read, widths, names, _ = twin
    # |g'| is at most `steep` and |g(z)| at most steep |z| + 1, so a network of |theta| and identities bounds the
    # sum of all terms, but for a factor of steep in each layer each way. A path through it rounds n + 1 times in
    # each layer going up, n going down, and in g, g' and the loss.
    z, a = reference.forward(widths, ["identity"] * len(names), np.abs(theta), np.abs(x[read]) + 1)
    da = scale * (2 * (a[-1] + np.abs(y[read]) if y is not None else a[-1] + 1) + 2)
    terms = reference.backward(widths, ["identity"] * len(names), np.abs(theta), z, a, da)[0]
    steep = max(STEEPEST.get(name, 1.0) for name in names) ** (2 * len(names))
    roundings = steep * (2 * sum(widths) + 16 * len(widths) + arguments["rows"])
    return roundings * draw.eps * np.sum(da**2) / scale**2, roundings * draw.eps * terms


def fused_small_network(dtype):
    draw, scale = Drawer(dtype), 1 / 7
    for arguments, twin in small_networks(draw):
        cost, gradient = reference.KERNELS["fused_small_network"](*twin, scale)
        bounds = small_network_bounds(draw, arguments, twin, scale)
        yield Case(
            {**arguments, "scale": scale},
            {"cost": arguments["cost"] + cost, "gradient": gradient},
            dict(zip(("cost", "gradient"), bounds, strict=True)),
        )


def small_network_sgd(dtype):
    """One step; that more are as many calls is a test of its own."""
    draw, rate = Drawer(dtype), 0.1
    decays = cycle([(0.0, 0.0), (0.3, 0.0), (0.0, 0.2), (0.3, 0.2)])
    for (arguments, twin), hyper in zip(small_networks(draw), decays, strict=False):
        if arguments["index"] is None:  # steps are taken along an order
            continue
        step_hyper, theta = (*hyper, 0.0, 0.0), np.abs(twin[0])
        cost, after, gradient = reference.KERNELS["small_network_sgd"](*twin, rate, step_hyper)
        in_cost, in_gradient = small_network_bounds(draw, arguments, twin, 1 / arguments["rows"])
        in_step = 4 * draw.eps * (theta + rate * (np.abs(gradient) + in_gradient + theta))
        yield Case(
            {**arguments, "steps": np.zeros(1, np.intc), "most_steps": 1, "rate": rate,
             "step_hyper": hyper_of(step_hyper)},
            {"cost": arguments["cost"] + cost, "steps": np.array([1]), "theta": after, "gradient": gradient},
            {"cost": in_cost, "steps": 0, "theta": rate * in_gradient + in_step, "gradient": in_gradient},
        )  # fmt: skip


# activations


def forward(name, dtype):
    draw = Drawer(dtype)
    for n, numbers in product(LENGTHS, numbers_of(name)):
        z = 3 * draw.normal(n)
        z[:1] = 0
        a, saved = reference.KERNELS[f"{name}_forward"]((name, *numbers), wide(z))
        bound = {"a": value_bound(draw, name, wide(z), a, numbers)}
        yield Case({"a": z, "n": n, "hyper": hyper_of(numbers)}, {"a": a}, bound)
        if saved is not None:
            bound["saved"] = saved_bound(draw, name, wide(z), numbers)
            given = {"a": z, "saved": draw.nan(n), "n": n, "hyper": hyper_of(numbers)}
            yield Case(given, {"a": a, "saved": saved}, bound)


def backward(name, dtype):
    draw = Drawer(dtype)
    for n, numbers in product(LENGTHS, numbers_of(name)):
        dz, saved = draw.normal(n), saved_of(draw, name, 3 * draw.normal(n), numbers)
        saved[:1] = 0
        expected = reference.KERNELS[f"{name}_backward"]((name, *numbers), wide(dz), wide(saved))
        yield Case(
            {"dz": dz, "saved": draw.nan(n) if name == "identity" else saved, "n": n, "hyper": hyper_of(numbers)},
            {"dz": expected},
            {"dz": slope_bound(draw, name, wide(dz), numbers)},
        )




# the other kernels


def gather(dtype):
    draw = Drawer(dtype)
    for rows, n in product([0, 1, 2, 15], WIDTHS):
        x, index = draw.normal(9, n), draw.rng.integers(9, size=rows)
        expected = reference.KERNELS["gather"](x, index)
        arguments = {"out": draw.nan(rows, n), "x": x, "index": index, "rows": rows, "n": n}
        yield Case(arguments, {"out": expected}, {"out": 0})


def all_finite(dtype):
    draw = Drawer(dtype)
    largest = np.finfo(dtype).max
    for n in LENGTHS:
        for bad in (None, np.nan, np.inf, -np.inf):
            for at in range(n) if bad is not None and n < 40 else (n - 1,):
                x = draw.normal(n)
                x[::3] = largest  # whose sum overflows
                if bad is not None and n:
                    x[at] = bad
                expected = reference.KERNELS["all_finite"](wide(x))
                yield Case({"ok": np.array([7], np.intc), "x": x, "n": n}, {"ok": np.array([expected])}, {"ok": 0})


KERNELS = {
    "dense_forward": dense_forward,
    "dense_input_gradient": dense_input_gradient,
    "dense_weight_gradient": dense_weight_gradient,
    "dense_sgd_step": dense_sgd_step,
    "fused_small_network": fused_small_network,
    "small_network_sgd": small_network_sgd,
    "gather": gather,
    "all_finite": all_finite,
    **cases_optimizers.KERNELS,
    **cases_rows.KERNELS,
    **cases_inputs.KERNELS,
}


@cache
def cases(name, kind, dtype):
    """Return the cases of a kernel of the list; it is an error if it has none."""
    if kind in ("forward", "backward"):
        return list(globals()[kind](name.removesuffix(f"_{kind}"), dtype))
    if kind == "loss":
        return list(cases_losses.loss(name, dtype))
    if kind == "optimizer":
        return list(cases_optimizers.optimizer(name, dtype))
    return list(KERNELS[name](dtype))
