"""Writes the page of performance from the committed results of the benchmarks."""

import json
import shutil

from generated import FOLDER, ROOT, write
from of_lists import lists

RESULTS = ROOT / "benchmarks" / "results"
HEAD = """# Performance

All numbers on this page are read from `benchmarks/results/*.json` when the page is built. `benchmarks/README.md` says
what is compared, how the work of all libraries is checked to be equal, and which commands repeat the measurements.
Times of different machines cannot be compared; ratios can, with care.
"""
# For each result, the title of its section and the files that benchmarks/charts.py draws from it.
CHARTS = {
    "peers_relu": ("A training step, one thread", "benchmark_relu_float32_sgd_1t"),
    "peers_relu_2t": ("A training step, two threads", "benchmark_relu_float32_sgd_2t"),
    "peers_tanh": ("A training step with tanh, one thread", "benchmark_tanh_float32_sgd_1t"),
    "tables": ("Tables: scores beside boosted trees", "benchmark_tables"),
    "time_to_accuracy": ("Time to reach an accuracy on MNIST", "benchmark_time_to_accuracy"),
    "latency": ("One call from Python", "benchmark_latency_one_row benchmark_latency_many_rows"),
    "memory": ("Memory, import time, installed size", "benchmark_memory benchmark_import benchmark_installed"),
    "sweep_cliffs": ("Every width and batch from 1 to 130", "benchmark_cliffs"),
}


def _three(number):
    """Return a number as text with three significant digits."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _steps(result):
    """Return a table of the microseconds of a training step, with a row for each network."""
    names = list(result["rows"][0]["contestants"])
    rows = []
    for row in result["rows"]:
        times = [row["contestants"].get(name, {}).get("us") for name in names]
        ratio = row.get("ratio")
        rows.append(
            [
                row["task"],
                *("" if time is None else _three(time) for time in times),
                f"{row['fastest_peer']}, {ratio:.2f}x" if ratio else "",
            ]
        )
    text = "The times are microseconds of a training step, the median over epochs that the libraries took in turns. "
    text += "The last column names the fastest of the other libraries, with the ratio of its time to fastprop's.\n\n"
    return text + lists.table(["network / batch", *names, "fastest other"], rows)


def _measurements(result):
    """Return a table of measurements: name, value and unit."""
    rows = [[one["name"], f"{_three(one['value'])} {one['unit']}"] for one in result["measurements"]]
    return lists.table(["measurement", "result"], rows)


def _scores(result):
    """Return a table of the mean scores of tables with all rows, with a row for each table."""
    found = {}
    for run in result["runs"]:
        if run["rows"] is None:
            found.setdefault(run["table"], {}).setdefault(run["method"], []).append(run)
    methods = list(dict.fromkeys(method for each in found.values() for method in each))
    rows = []
    for name, each in found.items():
        score = "log_loss" if "log_loss" in next(iter(each.values()))[0] else "r2"
        means = [
            f"{sum(run[score] for run in each[method]) / len(each[method]):.4f}" if method in each else ""
            for method in methods
        ]
        rows.append([f"{name} ({score.replace('_', ' ')})", *means])
    text = "Means over the folds that were measured: the log loss, of which less is better, or R2.\n\n"
    return text + lists.table(["table", *methods], rows)


def _machine(result):
    """Return the machine, the versions and the date of a result."""
    machine = result["machine"]
    clock = {row.get("clock") for row in result.get("rows", [result])} - {None}
    how = f", {clock.pop()} time" if len(clock) == 1 else ""
    return f"{machine['cpu']}, {machine['cores']} cores, CPython {machine['python']}, {result['date'][:10]}{how}."


def page():
    """Return the page as text."""
    parts = [HEAD]
    for name, (title, charts) in CHARTS.items():
        path = RESULTS / f"{name}.json"
        if not path.exists():  # as in an sdist
            continue
        result = json.loads(path.read_text(encoding="utf-8"))
        parts.append(f"## {title}\n\n{_machine(result)}\n")
        for chart in charts.split():
            shutil.copy(ROOT / "docs" / f"{chart}.svg", FOLDER)
            parts.append(f"![{title}, as a chart]({chart}.svg)\n")
        write_rows = _steps if "rows" in result else _scores if "runs" in result else _measurements
        parts.append(write_rows(result) + "\n")
    if len(parts) == 1:
        parts.append("This page was built from a source distribution, which does not contain the results.\n")
    return "\n".join(parts)


def generate(app):
    """Write the page."""
    write("performance.md", page())


def setup(app):
    """What Sphinx calls."""
    app.connect("builder-inited", generate)
    return {"parallel_read_safe": True}
