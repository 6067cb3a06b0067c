"""Draws the pictures of docs/inside.md.

Sizes of tiles and slices are read from the source, so that the pictures stay true.
"""

import math
import re

from drawing import line, svg, text
from generated import ROOT, write

LINE = 17  # pixels between two lines of text of 13 pixels


def constant(path, name):
    """Return an integer that the source defines, by `#define NAME 6` or `NAME = 6`."""
    return int(re.search(rf"\b{name}(?:\s+|\s*=\s*)(\d+)\b", (ROOT / path).read_text(encoding="utf-8"))[1])


def _lines(x, y, words, kind="", anchor="middle"):
    """Return lines of text, the first one with its baseline at y."""
    return "".join(text(x, y + LINE * k, each, kind, anchor) for k, each in enumerate(words))


def _box(x, y, width, height, *words, kind="cell none"):
    """Return a box with lines of text in its middle; the first one is bold if there are several."""
    middle, first = x + width / 2, y + height / 2 + 5 - LINE * (len(words) - 1) / 2
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5" class="{kind}"/>'
        + _lines(middle, first, words[:1], "head" if len(words) > 1 else "")
        + _lines(middle, first + LINE, words[1:])
    )


def _arrow(x0, y0, x1, y1):
    """Return a straight line with a tip at its end."""
    turn = math.degrees(math.atan2(y1 - y0, x1 - x0))
    tip = f'<path d="M0 0L-9 -4L-9 4z" transform="translate({x1:g} {y1:g}) rotate({turn:.1f})" class="tip"/>'
    return line(x0, y0, x1, y1, "arrow") + tip


def _drawing(width, height, label, parts):
    """Return a picture that a narrow page scrolls."""
    return svg((width, height), label, parts, "plot natural")


def calls():
    """Draw who calls whom, from fit to the tile."""
    rows = [
        ("Python", "net.fit(X, y)", "checks every argument, splits rows, calls back: training/fit.py"),
        ("", "Trainer.iter_epoch", "order of rows, learning rates of the steps: training/trainer.py"),
        ("Cython", "CompiledTrainer.run", "sets up a TrainingJob, takes the network's lock: training_loop.pxi"),
        ("without the GIL", "train_job", "one step for each batch, until it must pause: optimizer_step.pxi"),
        ("on all threads", "run_batch", "slices or blocks of rows, forward and backward: forward_backward.pxi"),
        ("", "an operation", "computes addresses and calls a kernel: operations.pxi"),
        ("C", "dense_forward", "a kernel of the table for this CPU and dtype: kernels/dense.h"),
        ("", "multiply_tiles", "blocks that fit into the caches: kernels/gemm.h"),
        ("SIMD", "tile", "sums in registers, one FMA after the other: kernels/gemm.h, simd/"),
    ]
    height, parts = 58, []
    for k, (level, name, role) in enumerate(rows):
        y = 8 + k * height
        parts += [text(4, y + 25, level, "soft", "start"), _box(130, y, 190, 40, name)]
        parts.append(text(336, y + 25, role, anchor="start"))
        if k + 1 < len(rows):
            parts.append(_arrow(225, y + 41, 225, y + height - 2))
    return _drawing(820, 8 + height * len(rows), "Calls from fit down to the tile of a matrix product", parts)


def memory():
    """Draw theta, its gradient and the arena of a 64-128-10 network."""
    parts = []
    for y, name in ((8, "theta"), (60, "gradient")):
        d = "" if name == "theta" else "d"
        sizes = ((330, f"{d}W1  64 x 128"), (70, f"{d}b1  128"), (150, f"{d}W2  128 x 10"), (70, f"{d}b2  10"))
        parts.append(text(4, y + 24, name, "head", "start"))
        x = 90
        for width, words in sizes:
            parts.append(_box(x, y, width, 38, words, kind="asked"))
            x += width
    parts.append(text(4, 150, "arena", "head", "start"))
    x = 90
    for width, *words in (
        (100, "x", "rows x 64"), (60, "y", "labels"), (125, "a1", "rows x 128"), (125, "dz1", "rows x 128"),
        (75, "a2", "rows x 10"), (75, "dz2", "rows x 10"), (55, "cost"), (110, "scratch", "of each thread"),
    ):  # fmt: skip
        parts.append(_box(x, 118, width, 56, *words, kind="asked"))
        x += width
    return _drawing(820, 184, "theta, its gradient and the arena of a network of 64, 128 and 10 neurons", parts)


def slices():
    """Draw the slices of a batch, and the tree in which their gradients are added."""
    least = constant("fastprop/_core/plan.pxi", "SLICE_ROWS")
    n, rows = 4, 4 * 4 * least
    parts = [text(90, 20, f"a batch of {rows} rows", "head")]
    for s in range(n):
        y = 34 + 62 * s
        parts += [
            _box(20, y, 140, 50, f"slice {s}", f"{rows // n} rows", kind="asked"),
            _arrow(162, y + 25, 228, y + 25),
            _box(230, y, 220, 50, f"gradient {s}", "both passes, block by block"),
        ]
    for pair in range(2):
        y = 34 + 124 * pair
        parts += [_arrow(452, y + 25, 528, y + 50), _arrow(452, y + 87, 528, y + 62)]
        parts.append(_box(530, y + 31, 110, 50, f"{2 * pair} + {2 * pair + 1}"))
        parts.append(_arrow(642, y + 56, 708, 34 + 108 if pair == 0 else 34 + 128))
    parts += [_box(710, 34 + 93, 120, 50, "gradient", "of the batch", kind="asked")]
    return _drawing(834, 34 + 62 * n, "Slices of a batch have gradients of their own, which are added as a tree", parts)


def blocks():
    """Draw the blocks of a matrix product and the caches in which they stay."""
    parts = [
        text(112, 20, "A, rows of the batch", "head"),
        _box(4, 34, 216, 250),
        _box(4, 34, 90, 140, "block of A", "in L2", kind="asked"),
        text(408, 20, "B, the weights", "head"),
        _box(300, 34, 216, 250),
        _box(300, 34, 216, 90),
        _box(300, 34, 60, 90, "panel", "in L1", kind="asked"),
        text(704, 20, "C, the outputs", "head"),
        _box(596, 34, 216, 250),
        _box(596, 34, 60, 140),
        _box(596, 34, 60, 42, "tile", kind="asked"),
        text(260, 165, "x"),
        text(556, 165, "="),
        text(49, 192, "k deep", "soft"),
        text(408, 144, "the next panel is prefetched", "soft"),
        _lines(666, 100, ["tiles below read", "the packed panel"], "soft", "start"),
    ]
    label = "A panel of B stays in L1 while the tiles of a block of A, which stays in L2, pass by"
    return _drawing(820, 296, label, parts)


def tile():
    """Draw the tile of AVX2 in its registers."""
    rows, vectors, lanes = constant("src_c/simd/avx2.h", "FP_MR"), 2, 8
    parts = [
        text(430, 20, f"one row of B: {vectors} vectors of {lanes} float32", "head"),
        text(110, 52, "one column of A", "head"),
    ]
    for v in range(vectors):
        parts.append(_box(250 + 190 * v, 32, 180, 34, f"B[k, {lanes * v}..{lanes * v + lanes - 1}]", kind="asked"))
    for r in range(rows):
        y = 82 + 42 * r
        parts += [_box(40, y, 140, 34, f"A[{r}, k] broadcast", kind="asked"), _arrow(182, y + 17, 246, y + 17)]
        parts += [_box(250 + 190 * v, y, 180, 34, f"C[{r}] += A[{r}, k] B[k]") for v in range(vectors)]
    held = rows * vectors
    words = [f"{held} registers hold sums,", f"{vectors} a row of B,", "1 an element of A"]
    parts.append(_lines(640, 150, words, "soft", "start"))
    label = f"The tile of AVX2: {rows} rows of {vectors} vectors, held in registers"
    return _drawing(820, 88 + 42 * rows, label, parts)


def generate(app):
    """Write the pictures."""
    for draw in (calls, memory, slices, blocks, tile):
        write(f"inside/{draw.__name__}.svg", draw())


def setup(app):
    """What Sphinx calls."""
    app.connect("builder-inited", generate)
    return {"parallel_read_safe": True}
