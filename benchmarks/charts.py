"""Draw the committed results: one chart per table, SVG, into a folder of docs/benchmarks for each machine.

    python benchmarks/charts.py [zen5 ...] [--results benchmarks/results] [--out docs/benchmarks]

Each chart is drawn from one JSON file of a machine's folder in benchmarks/results. pages.py puts them into its pages.
"""

import argparse
import io
import json
from collections import defaultdict
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

import cost_model
from contest.record import suffix
from fastprop._util import palette
from fastprop.plots.style import DASHES, MARKERS, look, of_page

HERE = Path(__file__).resolve().parent
NAMES = {
    "fastprop": "class-0",
    "NumPy": "class-1",
    "PyTorch": "class-3",
    "JAX": "class-2",
    "scikit-learn": "soft",
    "onnxruntime": "class-5",
}
COLOURS = {library: palette.COLOURS[name].light for library, name in NAMES.items()}
# No time stamp and fixed ids in the SVG, so that the same results give the same file.
plt.rcParams.update({"svg.hashsalt": "fastprop", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False})
plt.rcParams.update(
    {
        **look("light"),
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.prop_cycle": plt.cycler(color=[*COLOURS.values()], linestyle=(2 * DASHES)[: len(COLOURS)]),
        "grid.color": palette.COLOURS["rule"].light,
    }
)
INK = palette.COLOURS["ink"].light


def save(figure, path):
    """Write a figure as SVG, in the colours of the page, and close it."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None}, bbox_inches="tight")
    path.write_text(of_page(text.getvalue(), alone=True), encoding="utf-8")
    plt.close(figure)
    print(path)


def about(result):
    """Return the line under a title: CPU and date."""
    return f"{(result.get('machine') or {}).get('cpu') or 'unknown CPU'}, {result['date'][:10]}"


def peers(result, out):
    """Draw a chart per activation, dtype, optimiser and threads: the time of a step relative to fastprop's."""
    groups = defaultdict(list)
    for row in result["rows"]:
        groups[row["activation"], row["dtype"], row["optimizer"], row["threads"]].append(row)
    for (activation, dtype, optimizer, threads), rows in groups.items():
        figure, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
        for marker, (name, colour) in zip(MARKERS, COLOURS.items(), strict=True):
            points = [
                (at, row["contestants"][name]["us"] / row["contestants"]["fastprop"]["us"])
                for at, row in enumerate(rows)
                if name in row["contestants"] and "fastprop" in row["contestants"]
            ]
            if name == "fastprop" or not points:
                continue
            axes.plot(*zip(*points, strict=True), marker, color=colour, label=name)
        axes.axhline(1, color=COLOURS["fastprop"], linewidth=1.5, label="fastprop")
        axes.set_yscale("log")
        names = [row["task"].replace("/", "\nbatch ") for row in rows]
        axes.set_xticks(range(len(rows)), names, fontsize=7, rotation=20)
        clock = "CPU time" if rows[0]["clock"] == "cpu" else "time"
        axes.set_ylabel(f"{clock} of a step / fastprop's (log)")
        axes.set_title(
            f"Training: {activation}, {dtype}, {optimizer.upper()}, {threads} thread"
            f"{'s' if threads > 1 else ''}; above the line is slower\n{about(result)}"
        )
        axes.grid(axis="y")
        axes.legend(ncols=5, frameon=False, fontsize=8)
        save(figure, out / f"benchmark_{activation}_{dtype}_{optimizer}_{threads}t{suffix(result)}.svg")


def cliffs(result, out):
    """Draw the time per useful flop over widths and over batch sizes."""
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True, layout="constrained")
    for axes, vary in zip(panels, ("width", "batch"), strict=True):
        for line in (line for line in result["lines"] if line["vary"] == vary):
            axes.plot(
                result["sizes"],
                line["ns_per_flop"],
                linewidth=1,
                label=f"{line['other']} {line['fixed']}",
            )
        axes.set_yscale("log")
        axes.set_xlabel(vary)
        axes.grid(axis="y")
        axes.legend(frameon=False, fontsize=7)
    panels[0].set_ylabel("ns per useful flop (log)")
    figure.suptitle(f"No cliffs: width-width-width-width networks, one thread\n{about(result)}")
    save(figure, out / f"benchmark_cliffs{suffix(result)}.svg")


def threads(result, out):
    """Draw the speed-up of two threads over the work of a step."""
    found = defaultdict(dict)
    for each in result["measurements"]:
        name, count = each["name"].rsplit(" ", 1)
        found[name][count] = each
    figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    points = [(pair["1t"]["flops"], pair["1t"]["best"] / pair["2t"]["best"]) for pair in found.values()]
    axes.scatter(*zip(*points, strict=True), s=10, color=COLOURS["fastprop"])
    axes.axhline(1, color=INK, linewidth=0.6)
    axes.set_xscale("log")
    axes.set_xlabel("useful flops a step (log)")
    axes.set_ylabel("speed of two threads / one")
    axes.set_title(f"Two threads against one\n{about(result)}")
    axes.grid(axis="y")
    save(figure, out / f"benchmark_threads{suffix(result)}.svg")


def bars(result, out, prefix, name, title, unit):
    """Draw a bar per contestant for every measurement whose name starts with prefix, one panel per case."""
    cases = defaultdict(dict)
    for each in result["measurements"]:
        case, _, contestant = each["name"].rpartition(": ")
        if each["name"].startswith(prefix) and contestant in COLOURS:
            cases[case][contestant] = each["value"]
    if not cases:
        return
    figure, panels = plt.subplots(
        1, len(cases), figsize=(3.1 * len(cases) + 0.5, 2.8), squeeze=False, layout="constrained"
    )
    for axes, (case, values) in zip(panels[0], cases.items(), strict=True):
        axes.bar(list(values), list(values.values()), color=[COLOURS[each] for each in values])
        for at, value in enumerate(values.values()):
            axes.text(at, value, f"{value:.3g}", ha="center", va="bottom", fontsize=7)
        axes.margins(y=0.12)
        axes.set_title(case.removeprefix(prefix).strip() or case, fontsize=8)
        axes.tick_params(axis="x", labelsize=6.5)
        axes.set_ylabel(unit)
    figure.suptitle(f"{title}\n{about(result)}")
    save(figure, out / f"benchmark_{name}{suffix(result)}.svg")


def latency(result, out):
    """Draw the times of calls with one row and with many rows."""
    bars(result, out, "one row", "latency_one_row", "Prediction of one row", "microseconds")
    bars(result, out, "10,000", "latency_many_rows", "Prediction of 10,000 rows", "microseconds")


def memory(result, out):
    """Draw memory of training, import time and installed size."""
    bars(result, out, "memory", "memory", "Peak memory of training beyond library and data", "MB")
    bars(result, out, "import", "import", "Import time beyond NumPy's", "ms")
    bars(result, out, "installed", "installed", "Installed size, dependencies not counted", "MB")


def time_to_accuracy(result, out):
    """Draw the seconds of training until the goal."""
    bars(
        result,
        out,
        "to accuracy",
        "time_to_accuracy",
        f"Training until {result['goal']} on MNIST's test digits",
        "seconds",
    )


def tables(result, out):
    """Draw how far each method is ahead of scikit-learn's boosted trees, and for which CPU time, on all rows."""
    found = defaultdict(lambda: defaultdict(dict))
    for run in result["runs"]:
        if run["rows"] is None:
            found[run["table"]][run["method"]][run["fold"]] = run
    figure, panels = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained")
    names = [name for name, methods in found.items() if "trees" in methods]
    ahead, seconds = defaultdict(lambda: defaultdict(dict)), defaultdict(list)
    for name in names:
        for method in METHODS:
            folds = sorted(found[name]["trees"].keys() & found[name][method].keys())
            if not folds:
                continue
            score = "log_loss" if "log_loss" in found[name]["trees"][folds[0]] else "r2"
            ours, base = (sum(found[name][each][fold][score] for fold in folds) for each in (method, "trees"))
            ahead[score][method][name] = 100 * (1 - ours / base) if score == "log_loss" else (ours - base) / len(folds)
            times = (sum(found[name][each][fold]["fit_cpu_seconds"] for fold in folds) for each in (method, "trees"))
            seconds[method].append(next(times) / next(times))
    for axes, (score, label) in zip(panels, (("log_loss", "% of log loss"), ("r2", "R2")), strict=False):
        labels = [name for name in names if any(name in each for each in ahead[score].values())]
        for method, (colour, marker) in METHODS.items():
            points = [(labels.index(name), value) for name, value in ahead[score][method].items()]
            if points:
                axes.plot(*zip(*points, strict=True), marker, color=colour, label=method, markersize=5)
        axes.axhline(0, color=INK, linewidth=1)
        axes.set_xticks(range(len(labels)), labels, rotation=40, fontsize=7)
        axes.set_ylabel(f"ahead of trees by ({label})")
        axes.set_yscale("symlog", linthresh=5 if score == "log_loss" else 0.02)
        axes.grid(axis="y")
    methods = [method for method in METHODS if seconds[method]]
    ratios = [sorted(seconds[method])[len(seconds[method]) // 2] for method in methods]
    panels[2].barh(methods, ratios, color=[METHODS[method][0] for method in methods])
    panels[2].set_xscale("log")
    panels[2].invert_yaxis()
    panels[2].set_xlabel("median CPU time of fit / trees' (log)")
    figure.suptitle(f"Tables: scores and time beside scikit-learn's boosted trees\n{about(result)}")
    save(figure, out / f"benchmark_tables{suffix(result)}.svg")


def distributed(result, out):
    """Draw the weak and the strong scaling to 1,000 machines, on paper."""
    networks, machines = cost_model.measured(result), [round(1.25**i) for i in range(32)]
    figure, (weak, strong) = plt.subplots(1, 2, figsize=(10, 5), layout="constrained")
    for axes, cases, values in (
        (weak, cost_model.CASES, lambda network, *case: network.efficiency(*case)),
        (strong, cost_model.BATCHES, lambda network, *case: network.speed_up(*case)),
    ):
        for (name, rows, cores), colour in zip(cases, list(COLOURS.values())[:5], strict=False):
            for wire, style in zip(cost_model.WIRES, ("--", "-"), strict=True):
                found = [
                    values(networks[name], rows, p, wire, cores) if p > 1 else 1.0 for p in dict.fromkeys(machines)
                ]
                label = f"{name}/{rows}, {cores} core{'s' if cores > 1 else ''}, {wire.name}"
                axes.plot(list(dict.fromkeys(machines)), found, style, color=colour, label=label)
        axes.set_xscale("log")
        axes.set_xlabel("machines")
        axes.grid()
        axes.legend(frameon=False, fontsize=7, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.15))
    weak.set_title("Weak scaling: rows of each machine; rows a second / linear", fontsize=9)
    weak.set_ylim(0, 1.02)
    strong.set_title("Strong scaling: a batch of all; time of one machine / time", fontsize=9)
    strong.axhline(1, color=INK, linewidth=1)
    strong.set_yscale("log")
    figure.suptitle(f"A step on many machines, on paper; its time on one was measured\n{about(result)}")
    save(figure, out / f"benchmark_distributed{suffix(result)}.svg")


# the methods of benchmarks/tables.py
METHODS = {
    "fastprop-low": (COLOURS["fastprop"], "v"),
    "fastprop-medium": (COLOURS["fastprop"], "o"),
    "fastprop-high": (COLOURS["fastprop"], "^"),
    "trees": (INK, "s"),
    "trees-stopped": (COLOURS["scikit-learn"], "s"),
    "LightGBM": (palette.COLOURS["class-5"].light, "D"),
    "CatBoost": (palette.COLOURS["class-1"].light, "P"),
    "linear": (palette.COLOURS["class-2"].light, "X"),
}

DRAW = {
    each.__name__: each for each in (peers, cliffs, threads, latency, memory, time_to_accuracy, tables, distributed)
}


def main():
    """Draw a chart for every result file that exists."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("machines", nargs="*", help="folders of the results; all of them")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--out", type=Path, default=HERE.parent / "docs" / "benchmarks")
    options = parser.parse_args()
    for path in sorted(options.results.glob("*/*.json")):
        result, machine = json.loads(path.read_text()), path.parent.name
        if result.get("kind") in DRAW and (not options.machines or machine in options.machines):
            (options.out / machine).mkdir(parents=True, exist_ok=True)
            DRAW[result["kind"]](result, options.out / machine)


if __name__ == "__main__":
    main()
