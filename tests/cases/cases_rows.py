"""The cases of the kernels of rowwise.h and normalize.h; kernel_cases.py imports them."""

from itertools import cycle, product

import kernel_cases
import numpy as np
import reference_rows as twins
from kernels_ctypes import Same


def shapes(most_rows=9):
    """Yield (rows, n), n at least 1: every width with few rows, every number of rows with few columns, and one wide."""
    widths = [n for n in (*kernel_cases.WIDTHS, 67, 300) if n > 0]
    yield from product([0, 1, 2, most_rows], widths)
    yield from product(kernel_cases.ROWS, [1, 19])


def wide(*arrays):
    """Return the arrays as float64."""
    return [kernel_cases.wide(array) for array in arrays]


def in_place(arguments, output, array):
    """Return the case with an output in the place of an input."""
    return arguments | {output: arguments[array], array: Same(output)}


def cases_of(arguments, output, expected, bound, *, on_top_of=()):
    """Yield the case with its output apart from all inputs, and in the place of each input that it may overwrite."""
    for case in (arguments, *(in_place(arguments, output, array) for array in on_top_of)):
        yield kernel_cases.Case(case, {output: expected}, {output: bound})


# softmax


def scores(draw, rows, n):
    """Yield (x, |x - max x|, p), of which the error of a softmax consists."""
    x = 4 * draw.normal(rows, n)
    size = np.abs(kernel_cases.wide(x) - np.max(kernel_cases.wide(x), axis=1, keepdims=True))
    return x, size, twins.softmax_forward(kernel_cases.wide(x))


def softmax_forward(dtype):
    """x - max x rounds once, which moves e^score by |score| u and log sum by sum p |score| u; exp, log, sum: n + 8."""
    draw = kernel_cases.Drawer(dtype)
    for (rows, n), logarithm in product(shapes(), [0, 1]):
        x, size, p = scores(draw, rows, n)
        roundings = (n + 8) * draw.eps * (1 + size + np.sum(p * size, axis=1, keepdims=True))
        bound = roundings + (n + 8) * draw.eps * np.log(n) if logarithm else p * roundings + draw.tiny
        arguments = {"a": draw.nan(rows, n), "x": x, "rows": rows, "n": n, "logarithm": logarithm}
        expected = twins.softmax_forward(kernel_cases.wide(x), logarithm)
        yield from cases_of(arguments, "a", expected, bound, on_top_of=["x"])


def softmax_backward(dtype):
    """A sum of n products, a difference, a product, and e^a within 2 ULP."""
    draw = kernel_cases.Drawer(dtype)
    for (rows, n), logarithm in product(shapes(), [0, 1]):
        a = twins.softmax_forward(4 * kernel_cases.wide(draw.normal(rows, n)), logarithm).astype(dtype)
        da = draw.normal(rows, n)
        wide_da, wide_a = wide(da, a)
        if logarithm:
            terms = np.abs(wide_da) + np.exp(wide_a) * np.sum(np.abs(wide_da), axis=1, keepdims=True)
        else:
            terms = wide_a * (np.abs(wide_da) + np.sum(np.abs(wide_da) * wide_a, axis=1, keepdims=True))
        bound = (n + 4) * draw.eps * terms + draw.tiny * (n + 1)
        arguments = {"dx": draw.nan(rows, n), "da": da, "a": a, "rows": rows, "n": n, "logarithm": logarithm}
        expected = twins.softmax_backward(wide_da, wide_a, logarithm)
        yield from cases_of(arguments, "dx", expected, bound, on_top_of=["da"])


# PReLU


def prelu_forward(dtype):
    draw = kernel_cases.Drawer(dtype)
    for rows, n in shapes(17):
        x, slope = draw.normal(rows, n), draw.normal(n)
        expected = twins.prelu_forward(*wide(x, slope))
        arguments = {"a": draw.nan(rows, n), "x": x, "slope": slope, "rows": rows, "n": n}
        yield from cases_of(arguments, "a", expected, draw.eps * np.abs(expected), on_top_of=["x"])


def prelu_backward(dtype):
    draw = kernel_cases.Drawer(dtype)
    for rows, n in shapes(17):
        da, x, slope = draw.normal(rows, n), draw.normal(rows, n), draw.normal(n)
        x[:1] = 0
        expected = twins.prelu_backward(*wide(da, x, slope))
        arguments = {"dx": draw.nan(rows, n), "da": da, "x": x, "slope": slope, "rows": rows, "n": n}
        yield from cases_of(arguments, "dx", expected, draw.eps * np.abs(expected), on_top_of=["da"])


def prelu_gradient(dtype):
    draw = kernel_cases.Drawer(dtype)
    for (rows, n), accumulate in product(shapes(), [0, 1]):
        da, x = draw.normal(rows, n), draw.normal(rows, n)
        dslope = draw.normal(n) if accumulate else draw.nan(n)
        before = kernel_cases.wide(dslope) if accumulate else 0.0
        terms = np.abs(before) + np.sum(np.abs(kernel_cases.wide(da) * np.minimum(kernel_cases.wide(x), 0)), axis=0)
        arguments = {"dslope": dslope, "da": da, "x": x, "rows": rows, "n": n, "accumulate": accumulate}
        expected = twins.prelu_gradient(*wide(da, x), before)
        yield from cases_of(arguments, "dslope", expected, (rows + 1) * draw.eps * terms)


# dropout


def dropout(dtype):
    """`saved` rounds once and x saved once more; the random integers are equal."""
    draw = kernel_cases.Drawer(dtype)
    places = cycle(product([0, 0.1, 0.5, 0.99], [0, 5, 2**31 + 7], [0, 1, -3, 2**62 + 12345]))
    for (rows, n), (rate, first, key) in zip([*shapes(), *shapes()], places):
        x = draw.normal(rows, n)
        a, saved = twins.dropout(kernel_cases.wide(x), first, rate, key)
        arguments = {
            "a": draw.nan(rows, n), "saved": draw.nan(rows, n), "x": x,
            "rows": rows, "n": n, "row_offset": first, "rate": rate, "key": key,
        }  # fmt: skip
        bound = {"a": 2 * draw.eps * np.abs(a), "saved": draw.eps * saved}
        for case in (arguments, in_place(arguments, "a", "x")):
            yield kernel_cases.Case(case, {"a": a, "saved": saved}, bound)


# sums, products and copies


def multiply_rows(dtype):
    draw = kernel_cases.Drawer(dtype)
    for rows, n in shapes():
        x, y = draw.normal(rows, n), draw.normal(rows, n)
        expected = twins.multiply_rows(*wide(x, y))
        arguments = {"a": draw.nan(rows, n), "x": x, "y": y, "rows": rows, "n": n}
        yield from cases_of(arguments, "a", expected, draw.eps * np.abs(expected), on_top_of=["x", "y"])


def add_rows(dtype):
    draw = kernel_cases.Drawer(dtype)
    for rows, n in shapes():
        x, y = draw.normal(rows, n), draw.normal(rows, n)
        arguments = {"a": draw.nan(rows, n), "x": x, "rows": rows, "n": n}
        yield from cases_of(arguments, "a", kernel_cases.wide(x), 0, on_top_of=["x"])
        expected = twins.add_rows(*wide(x, y))
        yield from cases_of(arguments | {"y": y}, "a", expected, draw.eps * np.abs(expected), on_top_of=["x", "y"])


def repeat_rows(dtype):
    draw = kernel_cases.Drawer(dtype)
    for (rows, n), copies in zip(shapes(), cycle([1, 3, 8, 0])):
        x = draw.normal(rows, n)
        arguments = {"a": draw.nan(rows, copies * n), "x": x, "rows": rows, "n": n, "copies": copies}
        yield from cases_of(arguments, "a", twins.repeat_rows(kernel_cases.wide(x), copies), 0)


def sum_copies(dtype):
    draw = kernel_cases.Drawer(dtype)
    for (rows, n), copies in zip(shapes(), cycle([1, 3, 8])):
        da = draw.normal(rows, copies * n)
        bound = copies * draw.eps * twins.sum_copies(np.abs(kernel_cases.wide(da)), copies)
        arguments = {"dx": draw.nan(rows, n), "da": da, "rows": rows, "n": n, "copies": copies}
        yield from cases_of(arguments, "dx", twins.sum_copies(kernel_cases.wide(da), copies), bound)


# normalisation


def statistics_bound(draw, x, count, axis):
    """(mean, relative of variance + epsilon's numerator): a mean off by d adds d^2 to the mean of squares about it."""
    mean = (count + 1) * draw.eps * np.mean(np.abs(x), axis=axis)
    return mean, (count + 4) * draw.eps * np.var(x, axis=axis) + mean**2


def row_statistics(dtype):
    """1 / sqrt(v) errs by at most v's relative error, while that is below 1/2, and rounds three times itself."""
    draw = kernel_cases.Drawer(dtype)
    for (rows, n), shift, epsilon in product(shapes(), [0, 30], [1e-5, 0.1]):
        x = draw.normal(rows, n) + draw.dtype.type(shift)
        mean, rstd = twins.row_statistics(kernel_cases.wide(x), epsilon)
        mean_bound, variance_bound = statistics_bound(draw, kernel_cases.wide(x), n, 1)
        relative = variance_bound * rstd**2
        yield kernel_cases.Case(
            {"mean": draw.nan(rows), "rstd": draw.nan(rows), "x": x, "rows": rows, "n": n, "epsilon": epsilon},
            {"mean": mean, "rstd": rstd},
            {"mean": mean_bound, "rstd": rstd * (relative + 4 * draw.eps)},
        )


def column_statistics(dtype):
    draw = kernel_cases.Drawer(dtype)
    for (rows, n), shift in product(shapes(40), [0, 30]):
        if rows == 0:
            continue
        x = draw.normal(rows, n) + draw.dtype.type(shift)
        mean, variance = twins.column_statistics(kernel_cases.wide(x))
        bounds = statistics_bound(draw, kernel_cases.wide(x), rows, 0)
        yield kernel_cases.Case(
            {"mean": draw.nan(n), "variance": draw.nan(n), "x": x, "rows": rows, "n": n},
            {"mean": mean, "variance": variance},
            dict(zip(["mean", "variance"], bounds)),
        )


def statistics(draw, which, rows, n):
    """Return (mean, rstd, by_row) for "rows", "columns" or "none"; any numbers do, since kernels use them as given."""
    if which == "none":
        return None, None, int(draw.rng.integers(2))
    size = rows if which == "rows" else n
    return draw.normal(size), np.abs(draw.normal(size)), int(which == "rows")


def gain(array):
    """Return a factor, or 1 if it is left out."""
    return 1.0 if array is None else kernel_cases.wide(array)


def scale_forward(dtype):
    """A difference and a product, then one rounding for the product and sum."""
    draw = kernel_cases.Drawer(dtype)
    ways = cycle(product(["rows", "columns", "none"], [True, False], [True, False]))
    for (rows, n), (which, with_gamma, with_beta) in zip([*shapes(17), *shapes(), *shapes()], ways):
        x, (mean, rstd, by_row) = draw.normal(rows, n), statistics(draw, which, rows, n)
        gamma, beta = draw.normal(n) if with_gamma else None, draw.normal(n) if with_beta else None
        expected = twins.scale_forward(*wide(x, mean, rstd, gamma, beta), by_row)
        product_size = np.abs(twins.scale_forward(*wide(x, mean, rstd, gamma), None, by_row))
        arguments = {
            "a": draw.nan(rows, n), "x": x, "mean": mean, "rstd": rstd, "gamma": gamma, "beta": beta,
            "rows": rows, "n": n, "by_row": by_row,
        }  # fmt: skip
        bound = 4 * draw.eps * (product_size + np.abs(expected))
        yield from cases_of(arguments, "a", expected, bound, on_top_of=["x"])


def scale_gradient(dtype):
    """A sum over rows of products, whose xhat carries two roundings of its own."""
    draw = kernel_cases.Drawer(dtype)
    ways = cycle(product(["rows", "columns", "none"], [0, 1], ["dgamma dbeta", "dgamma", "dbeta"]))
    for (rows, n), (which, accumulate, wanted) in zip([*shapes(17), *shapes(), *shapes()], ways):
        da, x, (mean, rstd, by_row) = draw.normal(rows, n), draw.normal(rows, n), statistics(draw, which, rows, n)
        there = draw.normal if accumulate else draw.nan
        outputs = {name: there(n) for name in wanted.split()}
        before = {name: kernel_cases.wide(array) for name, array in outputs.items()} if accumulate else {}
        expected = dict(zip(["dgamma", "dbeta"], twins.scale_gradient(*wide(da, x, mean, rstd), by_row, **before)))
        xhat = twins.normalized(*wide(x, mean, rstd), by_row)
        terms = {"dgamma": np.sum(np.abs(da * xhat), axis=0), "dbeta": np.sum(np.abs(kernel_cases.wide(da)), axis=0)}
        yield kernel_cases.Case(
            {**outputs, "da": da, "x": x, "mean": mean, "rstd": rstd,
             "rows": rows, "n": n, "by_row": by_row, "accumulate": accumulate},
            {name: expected[name] for name in outputs},
            {name: (rows + 4) * draw.eps * (terms[name] + np.abs(before.get(name, 0.0))) for name in outputs},
        )  # fmt: skip


def scale_backward(dtype):
    draw = kernel_cases.Drawer(dtype)
    for (rows, n), (with_gamma, with_rstd) in zip([*shapes(17), *shapes()], cycle(product([True, False], repeat=2))):
        da = draw.normal(rows, n)
        gamma, rstd = draw.normal(n) if with_gamma else None, np.abs(draw.normal(n)) if with_rstd else None
        expected = twins.scale_backward(*wide(da, gamma, rstd))
        arguments = {"dx": draw.nan(rows, n), "da": da, "gamma": gamma, "rstd": rstd, "rows": rows, "n": n}
        yield from cases_of(arguments, "dx", expected, 2 * draw.eps * np.abs(expected), on_top_of=["da"])


def layer_norm_backward(dtype):
    """Two sums of n terms of four roundings each, their means, two differences and two products."""
    draw = kernel_cases.Drawer(dtype)
    for (rows, n), with_gamma in product(shapes(), [True, False]):
        da, x, (mean, rstd, _) = draw.normal(rows, n), draw.normal(rows, n), statistics(draw, "rows", rows, n)
        gamma = draw.normal(n) if with_gamma else None
        g, xhat = np.abs(da * gain(gamma)), np.abs(twins.normalized(*wide(x, mean, rstd), True))
        terms = g + np.mean(g, axis=1, keepdims=True) + xhat * np.mean(g * xhat, axis=1, keepdims=True)
        arguments = {
            "dx": draw.nan(rows, n), "da": da, "x": x, "mean": mean, "rstd": rstd, "gamma": gamma, "rows": rows, "n": n,
        }  # fmt: skip
        expected = twins.layer_norm_backward(*wide(da, x, mean, rstd, gamma))
        bound = (n + 10) * draw.eps * kernel_cases.wide(rstd)[:, None] * terms
        yield from cases_of(arguments, "dx", expected, bound, on_top_of=["da"])


def batch_norm_backward(dtype):
    """xhat, both quotients, two differences, two products: none of its terms rounds more than eight times."""
    draw = kernel_cases.Drawer(dtype)
    for (rows, n), with_gamma in product(shapes(17), [True, False]):
        da, x, (mean, rstd, _) = draw.normal(rows, n), draw.normal(rows, n), statistics(draw, "columns", rows, n)
        dgamma, dbeta, gamma = draw.normal(n), draw.normal(n), draw.normal(n) if with_gamma else None
        xhat, batch_rows = np.abs(twins.normalized(*wide(x, mean, rstd))), rows + 3.0
        terms = np.abs(da) + (np.abs(dbeta) + xhat * np.abs(dgamma)) / batch_rows
        arguments = {
            "dx": draw.nan(rows, n), "da": da, "x": x, "mean": mean, "rstd": rstd, "gamma": gamma,
            "dgamma": dgamma, "dbeta": dbeta, "rows": rows, "n": n, "batch_rows": batch_rows,
        }  # fmt: skip
        expected = twins.batch_norm_backward(*wide(da, x, mean, rstd, gamma, dgamma, dbeta), batch_rows)
        bound = 8 * draw.eps * np.abs(rstd * gain(gamma)) * terms
        yield from cases_of(arguments, "dx", expected, bound, on_top_of=["da"])


CASES = (
    softmax_forward, softmax_backward, prelu_forward, prelu_backward, prelu_gradient, dropout, multiply_rows, add_rows,
    repeat_rows, sum_copies, row_statistics, column_statistics, scale_forward, scale_gradient, scale_backward,
    layer_norm_backward, batch_norm_backward,
)  # fmt: skip
KERNELS = {cases.__name__: cases for cases in CASES}
