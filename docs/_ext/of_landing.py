"""Draws the pictures of the landing page: one for each kind of user, and the chart of speed.

The chart shows the newest of the recorded benchmarks, whatever they say; docs/benchmarks/ has all of them.
"""

import json
import math
import re

import fastprop as fp
from drawing import line, svg, text
from generated import ROOT, write

RESULTS = ROOT / "benchmarks" / "results"
CARD = (320, 140)  # pixels of a picture of a card


def network(widths, size, weights):
    """Return the parts of a drawing of a network: a line for each weight, blue and solid above 0, orange and dashed."""
    width, height = size
    gap, at = (width - 48) / (len(widths) - 1), []
    for k, n in enumerate(widths):
        at.append([(24 + k * gap, height / 2 + (j - (n - 1) / 2) * min(34, height / n)) for j in range(n)])
    parts = []
    for left, right, W in zip(at, at[1:], weights):
        largest = abs(W).max() or 1.0
        for i, (x0, y0) in enumerate(left):
            for j, (x1, y1) in enumerate(right):
                kind = "positive" if W[i, j] > 0 else "negative"
                stroke = 0.8 + 2.4 * abs(W[i, j]) / largest
                parts.append(f'<path d="M{x0:g} {y0:g}L{x1:g} {y1:g}" class="{kind}" stroke-width="{stroke:.2f}"/>')
    parts += [f'<circle cx="{x:g}" cy="{y:g}" r="10" class="box"/>' for layer in at for x, y in layer]
    return parts


def table():
    """Draw a table of mixed columns, the last of which is predicted."""
    columns = (("area", "72", "118", "", "54"), ("town", "Lyon", "Oslo", "Oslo", "Turin"))
    columns += (("sold", "2024-03", "2023-11", "2024-01", ""), ("price", "310k", "545k", "?", "?"))
    parts, width = [], 76
    for c, cells in enumerate(columns):
        last = c == len(columns) - 1
        for r, words in enumerate(cells):
            x, y = 8 + c * width, 6 + r * 26
            kind = "box head" if r == 0 else "asked" if words == "?" else "cell none"
            parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="26" class="{kind}"/>')
            parts.append(text(x + width / 2, y + 18, words, "head" if r == 0 or (last and words == "?") else ""))
    return svg(CARD, "A table with numbers, names, dates and gaps, whose last column is to be predicted", parts)


def loop():
    """Draw a cart with a pole, and the network that sees its state and pushes it."""
    seen = network((4, 5, 2), (150, 124), fp.Network([4, 5, 2], seed=0).weights)
    parts = [line(14, 118, 126, 118, "ink"), '<rect x="42" y="88" width="56" height="22" rx="3" class="box"/>']
    parts += [f'<circle cx="{x}" cy="113" r="5" class="box"/>' for x in (54, 86)]
    parts += ['<path d="M70 88L92 26" class="ink" stroke-width="5" stroke-linecap="round"/>']
    parts += [f'<g transform="translate(168 8)">{"".join(seen)}</g>']
    parts += ['<path d="M112 56C132 40 148 40 166 48" class="arrow"/><path d="M158 41L168 49L155 51z" class="tip"/>']
    parts += ['<path d="M180 122C160 136 136 130 116 108" class="arrow"/>']
    parts += ['<path d="M115 119L111 103L125 112z" class="tip"/>']
    parts += [text(136, 32, "state"), text(150, 112, "action")]
    return svg(CARD, "A cart that balances a pole: a network sees its state and chooses the action", parts)


def learn():
    """Draw a network with the gradient of each of its weights, computed by a trace."""
    t = fp.Network([2, 3, 1], seed=0).trace([[1.0, -2.0]], [1.0], loss="half_mse")
    label = "A 2-3-1 network, with a line for the gradient of each weight"
    return network_picture((2, 3, 1), [layer.dW for layer in t.layers], label)


def network_picture(widths, weights, label):
    """Return a picture of a network with a line for each number of `weights`, and what the lines say."""
    parts = network(widths, (CARD[0], 118), weights)
    return svg(CARD, label, [*parts, text(CARD[0] / 2, 134, "gradient: blue above 0, orange and dashed below", "tick")])


def package():
    """Draw one wheel and the tables of kernels in it."""
    parts = ['<rect x="84" y="8" width="152" height="34" rx="6" class="box"/>']
    parts.append(text(160, 30, "one wheel, cp311-abi3", "head"))
    names = ("portable", "AVX2", "AVX-512", "NEON")
    for k, name in enumerate(names):
        x = 10 + k * 77
        parts += [line(160, 42, x + 34, 66, ""), f'<rect x="{x}" y="66" width="69" height="28" rx="6" class="box"/>']
        parts.append(text(x + 34.5, 85, name, "tick"))
    parts.append(text(160, 122, "NumPy, and nothing else at run time"))
    return svg(CARD, "One wheel with four tables of kernels, which needs only NumPy", parts)


MARKS = {  # a mark for each library, by colour and by shape
    "NumPy": ("first", "M-5 0A5 5 0 1 0 5 0A5 5 0 1 0 -5 0Z"),
    "PyTorch": ("second", "M-4.5 -4.5h9v9h-9Z"),
    "JAX": ("third", "M0 -6L6 0L0 6L-6 0Z"),
}


def _mark(name, x, y):
    kind, way = MARKS[name]
    return f'<path d="{way}" transform="translate({x:.1f} {y:.1f})" class="{kind} dot"/>'


def newest():
    """Return the newest measurement of training steps beside other libraries: its folder, and what it says."""
    found = [(json.loads(path.read_text(encoding="utf-8")), path) for path in RESULTS.glob("*/peers*.json")]
    result, path = max(found, key=lambda each: (each[0]["date"][:10], each[0]["isa"] or "", len(_rows(each[0]))))
    return path.parent.name, result


def _rows(result):
    wanted = {"activation": "relu", "dtype": "float32", "optimizer": "sgd", "threads": 1}
    return [row for row in result["rows"] if all(row[key] == value for key, value in wanted.items())]


LOW, HIGH = 0.7, 20.0  # the smallest and the largest ratio on the axis; larger ones are numbers at its end


def speed():
    """Draw how much longer a training step takes in other libraries; return the caption."""
    folder, result = newest()
    rows = _rows(result)
    left, top, right, step = 112, 44, 316, 28
    height = top + step * len(rows)
    parts = []

    def at(ratio):
        return left + (right - left) * math.log(ratio / LOW) / math.log(HIGH / LOW)

    for ratio in (1, 2, 5, 10, 20):
        parts.append(line(at(ratio), top - 6, at(ratio), height, "ink" if ratio == 1 else "grid"))
        parts.append(text(at(ratio), height + 16, f"{ratio} x", "tick"))
    parts.append(text(at(1), top - 12, "fastprop", "head"))
    for name, x in zip(MARKS, (150, 212, 282)):
        parts += [_mark(name, x - 8, 12), text(x, 16, name, anchor="start")]
    for k, row in enumerate(rows):
        y = top + step * k + step / 2
        widths, _, batch = row["task"].partition("/")
        parts.append(text(left - 8, y - 1, widths, "tick", "end"))
        parts.append(text(left - 8, y + 11, f"batch {batch}", "tick small", "end"))
        times = {name: row["contestants"][name]["us"] for name in ("fastprop", *MARKS) if name in row["contestants"]}
        ratios = {name: us / times["fastprop"] for name, us in times.items() if name != "fastprop"}
        beyond = [name for name, ratio in ratios.items() if ratio > HIGH]
        for name, ratio in ratios.items():
            x = right + 8 + 11 * beyond.index(name) if name in beyond else at(max(ratio, LOW))
            parts.append(_mark(name, x, y))
        numbers = ", ".join(f"{ratios[name]:,.0f}" for name in beyond)
        parts.append(text(right + 3 + 11 * len(beyond), y + 4, numbers, "tick", "start"))
    parts.append(text((left + right) / 2, height + 34, "time of a training step / fastprop's, log"))
    versions = ", ".join(f"{name} {rows[0]['contestants'][name]['version']}" for name in MARKS)
    label = f"Times of training steps of {versions}, relative to fastprop's"
    write("landing/speed.svg", svg((400, height + 42), label, parts))
    page = (ROOT / "docs" / "benchmarks" / "index.md").read_text(encoding="utf-8")
    cpu, ahead = re.search(rf"\[(.*?)\]\({folder}\.md\).*\| (.*?) \|$", page, re.MULTILINE).groups()
    return (
        f"Measured on {result['date'][:10]} on one core of an {cpu}, {result['isa'].upper().replace('512', '-512')}: "
        f"{versions}; ReLU, float32, SGD. Left of the line another library would be faster: on this CPU one is in "
        f"{ahead} comparisons, which [Performance](/benchmarks/{folder}.md) lists first.\n"
    )


def generate(app):
    """Write the pictures."""
    for draw in (table, loop, learn, package):
        write(f"landing/{draw.__name__}.svg", draw())
    write("landing/speed.md", f"```{{drawn}} landing/speed.svg\n\n{speed()}```\n")


def setup(app):
    """What Sphinx calls."""
    app.connect("builder-inited", generate)
    return {"parallel_read_safe": True}
