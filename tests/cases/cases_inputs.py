"""The cases of the kernels of embeddings.h; kernel_cases.py imports them."""

from itertools import product

import kernel_cases
import numpy as np
import reference_inputs as twins
from cases_rows import cases_of, wide

ROWS = [0, 1, 2, 37]


# a choice of columns, also with some of them twice


def choices(draw):
    """Yield (n_in, columns, rows)."""
    for n_in, n, rows in product([1, 5, 40], kernel_cases.WIDTHS, ROWS):
        yield n_in, draw.rng.integers(n_in, size=n), rows


def select_forward(dtype):
    draw = kernel_cases.Drawer(dtype)
    for n_in, columns, rows in choices(draw):
        x = draw.normal(rows, n_in)
        arguments = {
            "a": draw.nan(rows, len(columns)), "x": x, "columns": columns, "rows": rows, "n": len(columns),
        }  # fmt: skip
        yield from cases_of(arguments, "a", twins.select_forward(kernel_cases.wide(x), columns), 0)


def select_backward(dtype):
    draw = kernel_cases.Drawer(dtype)
    for n_in, columns, rows in choices(draw):
        dx, da = draw.normal(rows, n_in), draw.normal(rows, len(columns))
        arguments = {"dx": dx, "da": da, "columns": columns, "rows": rows, "n": len(columns)}
        wide_dx, wide_da = wide(dx, da)
        terms = twins.select_backward(np.abs(wide_da), columns, np.zeros_like(wide_dx))
        expected = twins.select_backward(wide_da, columns, wide_dx)
        yield from cases_of(arguments, "dx", expected, len(columns) * draw.eps * terms)


# embeddings: columns of numbers alone and in runs, of indices alone and in runs, with tables of every width


def tables_of(draw):
    """Yield (categories, width, rows) of some inputs."""
    widths = [n for n in kernel_cases.WIDTHS if n > 0]
    lists = [[0], [3], [0] * 19, [2, 1, 7], [0, 3, 0, 0, 5], [4, 0, 0, 9, 2, 0], [0] * 17 + [5] * len(widths)]
    for categories, rows in product(lists, ROWS):
        yield np.array(categories), draw.rng.permutation(np.resize(widths, len(categories))), rows


def inputs(draw, categories, rows):
    """Return inputs with columns of numbers and of indices."""
    x = draw.normal(rows, len(categories))
    for c in np.flatnonzero(categories):
        x[:, c] = draw.rng.integers(categories[c], size=rows)
    return x


def n_outputs(categories, width):
    return np.count_nonzero(categories == 0) + np.sum(width[categories > 0])


def embed_forward(dtype):
    draw = kernel_cases.Drawer(dtype)
    for categories, width, rows in tables_of(draw):
        x, tables = inputs(draw, categories, rows), draw.normal(np.sum(categories * width))
        arguments = {
            "a": draw.nan(rows, n_outputs(categories, width)), "x": x, "tables": tables,
            "categories": categories, "width": width, "rows": rows, "n_in": len(categories),
        }  # fmt: skip
        yield from cases_of(arguments, "a", twins.embed_forward(*wide(x, tables), categories, width), 0)


def embed_gradient(dtype):
    """Return the bound of a sum over at most all rows, added to the previous content."""
    draw = kernel_cases.Drawer(dtype)
    for (categories, width, rows), accumulate in product(tables_of(draw), [0, 1]):
        x, da = inputs(draw, categories, rows), draw.normal(rows, n_outputs(categories, width))
        n_tables = int(np.sum(categories * width))
        dtables = draw.normal(n_tables) if accumulate else draw.nan(n_tables)
        before = kernel_cases.wide(dtables) if accumulate else np.zeros(n_tables)
        wide_da, wide_x = wide(da, x)
        terms = twins.embed_gradient(np.abs(wide_da), wide_x, categories, width, np.abs(before))
        arguments = {
            "dtables": dtables, "da": da, "x": x, "categories": categories, "width": width,
            "rows": rows, "n_in": len(categories), "n_tables": n_tables, "accumulate": accumulate,
        }  # fmt: skip
        expected = twins.embed_gradient(wide_da, wide_x, categories, width, before)
        yield from cases_of(arguments, "dtables", expected, (rows + 1) * draw.eps * terms)


def embed_backward(dtype):
    draw = kernel_cases.Drawer(dtype)
    for categories, width, rows in tables_of(draw):
        da, n_in = draw.normal(rows, n_outputs(categories, width)), len(categories)
        arguments = {"dx": draw.nan(rows, n_in), "da": da, "categories": categories, "rows": rows, "n_in": n_in}
        yield from cases_of(arguments, "dx", twins.embed_backward(kernel_cases.wide(da), categories), 0)


# piecewise-linear encoding


def bins_of(draw):
    """Yield (x, edges, bins) with numbers inside, outside and at edges."""
    for bins, rows in product([[1], [2], [5, 1, 3], [n for n in kernel_cases.WIDTHS if n > 0]], ROWS):
        columns = [np.cumsum(0.1 + draw.rng.random(b + 1)).astype(draw.dtype) - draw.dtype.type(1) for b in bins]
        x = np.stack([draw.rng.choice(e, rows) for e in columns], axis=1)
        x += np.where(draw.rng.integers(2, size=x.shape), draw.normal(*x.shape), 0).astype(draw.dtype)
        yield x, np.concatenate(columns), np.array(bins)


def piecewise_forward(dtype):
    """Return the bound of two differences and a quotient."""
    draw = kernel_cases.Drawer(dtype)
    for x, edges, bins in bins_of(draw):
        rows, n_in = x.shape
        expected = twins.piecewise_forward(*wide(x, edges), bins)
        arguments = {
            "a": draw.nan(rows, np.sum(bins)), "x": x, "edges": edges, "bins": bins, "rows": rows, "n_in": n_in,
        }  # fmt: skip
        yield from cases_of(arguments, "a", expected, 3 * draw.eps * np.abs(expected))


def piecewise_backward(dtype):
    draw = kernel_cases.Drawer(dtype)
    for x, edges, bins in bins_of(draw):
        rows, n_in = x.shape
        da = draw.normal(rows, np.sum(bins))
        expected = twins.piecewise_backward(*wide(da, x, edges), bins)
        arguments = {
            "dx": draw.nan(rows, n_in), "da": da, "x": x, "edges": edges, "bins": bins, "rows": rows, "n_in": n_in,
        }  # fmt: skip
        yield from cases_of(arguments, "dx", expected, 2 * draw.eps * np.abs(expected))


# products with a piecewise-linear encoding; from 4 vectors on, and from 257 rows on, they are computed in parts


def products(draw):
    """Yield (x, edges, n_out)."""
    for bins, n_out in product([1, 2, 17, 256], [*kernel_cases.WIDTHS[1:], 63, 64, 65, 130]):
        for rows in (0, 1, 37) if bins > 2 or n_out != 17 else (256, 300):
            edges = np.cumsum(0.1 + draw.rng.random(bins + 1)).astype(draw.dtype)
            x = np.where(draw.rng.integers(4, size=rows), draw.rng.uniform(0, edges[-1] + 1, rows), edges[bins // 2])
            yield x.astype(draw.dtype)[:, None], edges, n_out


def piecewise_product(dtype):
    """Return the bound of a sum over the bins; a fraction has three roundings."""
    draw = kernel_cases.Drawer(dtype)
    for x, edges, n_out in products(draw):
        rows, bins = len(x), len(edges) - 1
        a, w = draw.normal(rows, n_out), draw.normal(bins, n_out)
        wide_x, wide_edges, wide_w, wide_a = wide(x, edges, w, a)
        p = np.abs(twins.piecewise_forward(wide_x, wide_edges, np.array([bins])))
        arguments = {"a": a, "x": x, "edges": edges, "w": w, "rows": rows, "bins": bins, "n_out": n_out}
        expected = twins.piecewise_product(wide_x, wide_edges, wide_w, wide_a)
        bound = (bins + 6) * draw.eps * (np.abs(wide_a) + p @ np.abs(wide_w))
        yield from cases_of(arguments, "a", expected, bound)


def piecewise_product_gradient(dtype):
    """Return the bound of a sum over the rows and the bins; a fraction has three roundings."""
    draw = kernel_cases.Drawer(dtype)
    for (x, edges, n_out), (accumulate, last) in product(products(draw), product([0, 1], [0, 1])):
        rows, bins = len(x), len(edges) - 1
        dz = draw.normal(rows, n_out)
        made = draw.normal if accumulate else draw.nan
        dw, sums = made(bins, n_out), made(bins, n_out)
        before = wide(dw, sums) if accumulate else (np.zeros(dw.shape), np.zeros(dw.shape))
        wide_x, wide_dz, wide_edges = wide(x, dz, edges)
        expected = twins.piecewise_product_gradient(wide_x, wide_dz, wide_edges, *before, last)
        p, size = np.abs(twins.piecewise_forward(wide_x, wide_edges, np.array([bins]))), np.abs(wide_dz)
        sizes = [np.abs(each) for each in before]
        terms = [
            p.T @ size + sizes[0] + last * np.sum(sizes[1], axis=0),
            np.sum(size, axis=0) + sizes[1],
        ]
        arguments = {
            "dw": dw, "sums": sums, "x": x, "dz": dz, "edges": edges, "rows": rows, "bins": bins, "n_out": n_out,
            "accumulate": accumulate, "last": last,
        }  # fmt: skip
        bounds = [(rows + bins + 6) * draw.eps * each for each in terms]
        outputs = ["dw"] if last else ["dw", "sums"]
        yield kernel_cases.Case(arguments, dict(zip(outputs, expected)), dict(zip(outputs, bounds)))


# periodic encoding


def periods(draw):
    """Yield (x, frequency)."""
    for n_in, n_frequencies, rows in product([1, 2, 5], kernel_cases.WIDTHS, ROWS):
        yield 3 * draw.normal(rows, n_in), 3 * draw.normal(n_in, n_frequencies)


def sizes(x, frequency):
    return {"rows": len(x), "n_in": x.shape[1], "n_frequencies": frequency.shape[1]}


def periodic_forward(dtype):
    """Return the bound: f x is exact in an FMA and, for floats, in double; for doubles it rounds, by pi |f x| eps."""
    draw = kernel_cases.Drawer(dtype)
    for x, frequency in periods(draw):
        turns = np.abs(wide(x)[0][:, :, None] * frequency)
        both = np.concatenate([turns, turns], axis=2).reshape(len(x), 2 * frequency.size)
        rounding = 8 * np.finfo(np.float64).eps * both
        expected = twins.periodic_forward(*wide(x, frequency))
        arguments = {"a": draw.nan(*expected.shape), "x": x, "frequency": frequency, **sizes(x, frequency)}
        # at most half a turn, pi, rounds three times on its way to sincos, which errs by 2 ULP
        yield from cases_of(arguments, "a", expected, 8 * draw.eps + rounding)


def slope_size(da, a, n_in):
    """Return the sum of the absolute terms of the slope."""
    (cosine, sine), (dcosine, dsine) = (twins.as_pairs(np.abs(array), n_in) for array in wide(a, da))
    return cosine * dsine + sine * dcosine


def periodic_backward(dtype):
    """Return the bound of a sum of n products with three roundings each, and of the factor."""
    draw = kernel_cases.Drawer(dtype)
    for x, frequency in periods(draw):
        n = frequency.shape[1]
        a = twins.periodic_forward(*wide(x, frequency)).astype(dtype)
        da = draw.normal(*a.shape)
        terms = 2 * np.pi * np.sum(np.abs(frequency) * slope_size(da, a, len(frequency)), axis=2)
        expected = twins.periodic_backward(*wide(da, a, frequency))
        arguments = {
            "dx": draw.nan(*x.shape), "da": da, "a": a, "frequency": frequency, **sizes(x, frequency),
        }  # fmt: skip
        yield from cases_of(arguments, "dx", expected, (n + 6) * draw.eps * terms)


def periodic_gradient(dtype):
    draw = kernel_cases.Drawer(dtype)
    for (x, frequency), accumulate in product(periods(draw), [0, 1]):
        a = twins.periodic_forward(*wide(x, frequency)).astype(dtype)
        da = draw.normal(*a.shape)
        dfrequency = draw.normal(*frequency.shape) if accumulate else draw.nan(*frequency.shape)
        before = kernel_cases.wide(dfrequency) if accumulate else 0.0
        terms = 2 * np.pi * np.sum(np.abs(x[:, :, None]) * slope_size(da, a, len(frequency)), axis=0)
        expected = twins.periodic_gradient(*wide(da, a, x), before)
        arguments = {
            "dfrequency": dfrequency, "da": da, "a": a, "x": x, **sizes(x, frequency), "accumulate": accumulate,
        }  # fmt: skip
        bound = (len(x) + 6) * draw.eps * (terms + np.abs(before))
        yield from cases_of(arguments, "dfrequency", expected, bound)


CASES = (
    select_forward, select_backward, embed_forward, embed_gradient, embed_backward, piecewise_forward,
    piecewise_backward, piecewise_product, piecewise_product_gradient, periodic_forward, periodic_backward,
    periodic_gradient,
)  # fmt: skip
KERNELS = {cases.__name__: cases for cases in CASES}
