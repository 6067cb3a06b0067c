"""Write docs/benchmarks/: a page for each machine whose results are in a folder of benchmarks/results.

    python benchmarks/pages.py

Every number of a page is read from the JSON files. What is slower than another library, or misses a target, stands
first. charts.py draws the pictures, and has to run before.
"""

import json
from pathlib import Path

from compare import KEY
from contest.record import suffix
from contest.report import missed
from contest.tasks import TASKS

HERE = Path(__file__).resolve().parent
RESULTS, DOCS = HERE / "results", HERE.parent / "docs" / "benchmarks"
# The charts of charts.py for each kind of result; those of peers.py are named by their rows.
CHARTS = {
    "cliffs": ("benchmark_cliffs",),
    "threads": ("benchmark_threads",),
    "latency": ("benchmark_latency_one_row", "benchmark_latency_many_rows"),
    "memory": ("benchmark_memory", "benchmark_import", "benchmark_installed"),
    "time_to_accuracy": ("benchmark_time_to_accuracy",),
    "tables": ("benchmark_tables",),
    "distributed": ("benchmark_distributed",),
}
HEAD = """Every number on this page is read from `benchmarks/results/{folder}/*.json` by `benchmarks/pages.py`.
`benchmarks/README.md` says what is compared, how the work of all libraries is checked to be equal, and which commands
repeat the measurements. Times of different machines cannot be compared; ratios can, with care.
"""
SUMMARY = ["CPU", "measured", "another library is ahead in"]


def three(value):
    """Return a number as text with three significant digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def ratio_text(value):
    """Return a ratio; one below 1, where fastprop is slower, is bold."""
    text = f"{value:.2f}"
    return f"**{text}**" if value < 1 else text


def table(header, rows):
    """Return a table in Markdown."""
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [header, ["---"] * len(header), *rows]) + "\n"


def conditions(result):
    """Return the line under a title: ISA, BLAS, versions, date and commit."""
    machine = result["machine"]
    pools = [pool for found in result.get("pools", {}).values() for pool in found or ()]
    cores = {pool["architecture"] for pool in pools if pool["internal_api"] == "openblas"} - {None}
    cores |= {machine["numpy"].get("blas_core")} - {None}
    versions = {
        name: entry["version"] for row in result.get("rows", ()) for name, entry in row["contestants"].items()
    } or {"NumPy": machine["numpy"]["version"]}
    clock = {row.get("clock") for row in result.get("rows", [result])} - {None}
    parts = [
        f"{result['isa'] or machine['fastprop']['isa']} kernels",
        f"OpenBLAS for {', '.join(sorted(cores))}" if cores else "",
        ", ".join(f"{name} {version}" for name, version in versions.items()),
        f"CPython {machine['python']}",
        f"{clock.pop()} time" if len(clock) == 1 else "",
        f"{result['date'][:10]}, commit {machine['commit']}",
    ]
    held = " The other libraries were held to AVX2." if result.get("restrictions") else ""
    return "; ".join(filter(None, parts)) + f".{held}\n"


def picture(title, folder, name, result):
    """Return the line that shows a chart, or "" if charts.py has not drawn it."""
    path = f"{folder}/{name}{suffix(result)}.svg"
    return f"![{title}]({path})\n\n" if (DOCS / path).exists() else ""


def groups_of(rows):
    """Return the rows of peers.py by what their tables have in common."""
    groups = {}
    for row in rows:
        groups.setdefault((row["activation"], row["dtype"], row["optimizer"], row["threads"]), []).append(row)
    return groups


def peers(result, folder):
    """Return a table for each activation, dtype, optimiser and number of threads."""
    text = "Microseconds of a training step, medians over epochs that the libraries took in turns. (!): other work.\n"
    for (activation, dtype, optimizer, threads), rows in groups_of(result["rows"]).items():
        names = list(dict.fromkeys(name for row in rows for name in row["contestants"]))
        title = f"{activation}, {dtype}, {optimizer.upper()}, {threads} thread{'s' if threads > 1 else ''}"
        lines = []
        for row in rows:
            entries = [row["contestants"].get(name) for name in names]
            times = [
                "" if each is None else three(each["us"]) + ("" if each["agrees"] and each["finite"] else " (!)")
                for each in entries
            ]
            best = f"{ratio_text(row['ratio'])} ({row['fastest_peer']})" if row["ratio"] else ""
            asked = "" if row["target_ratio"] is None else f"{row['target_ratio']:.3g}"
            lines.append([row["task"], *times, best, asked, "" if row["share"] is None else f"{row['share']:.2f}"])
        limit = rows[0].get("limit")
        text += f"\n### {title}\n\nFMA limit: {three(limit) if limit else 'unknown'} GFLOP/s.\n\n"
        text += picture(title, folder, f"benchmark_{activation}_{dtype}_{optimizer}_{threads}t", result)
        text += table(["network / batch", *names, "fastest other / fastprop", "asked", "of the limit"], lines)
    return text


def products(result, folder):
    """Return a table with a row for each shape and dtype."""
    found = {}
    for each in result["measurements"]:
        name, library = each["name"].split(": ")
        product, shape, dtype = name.rsplit(" ", 2)
        found.setdefault((shape, dtype), {}).setdefault(product, {})[library] = each["flops"] / each["value"] / 1e3
    names = list(dict.fromkeys(name for products in found.values() for name in products))
    lines = [
        [f"{shape} {dtype}"]
        + [
            f"{rates['fastprop']:.1f} / {rates['NumPy']:.1f} = {ratio_text(rates['fastprop'] / rates['NumPy'])}"
            for rates in products.values()
        ]
        for (shape, dtype), products in found.items()
    ]
    limits = result["limits"].get(isa_of(result), {})
    text = "GFLOP/s of fastprop / NumPy, medians, one thread; rows x n_in x n_out. FMA limit: "
    text += ", ".join(f"{three(limit)} in {dtype}" for dtype, limit in limits.items()) + ".\n\n"
    return text + table(["shape", *names], lines)


def threads(result, folder):
    """Return a table of one thread and two, for the networks that are not of the sweep over squares."""
    found = {}
    for each in result["measurements"]:
        name, count = each["name"].rsplit(" ", 1)
        found.setdefault(name, {})[count] = each["best"]
    squares = [pair["1t"] / pair["2t"] for name, pair in found.items() if is_square(name)]
    lines = [
        [name, three(pair["1t"]), three(pair["2t"]), ratio_text(pair["1t"] / pair["2t"])]
        for name, pair in found.items()
        if not is_square(name)
    ]
    text = "The best microseconds of a step with one thread and with two, in turns.\n\n"
    text += table(["network / batch", "one", "two", "one / two"], lines)
    if squares:
        text += f"\n{len(squares)} networks of four equal widths, 1 to 512, with batches of 1 to 1024: "
        text += f"{min(squares):.2f} to {max(squares):.2f}.\n"
    return text


def is_square(name):
    """Return whether a name is that of a network of the sweep over sizes, such as 48-48-48-48/64."""
    widths = name.split("/")[0].split("-")
    return len(widths) == 4 and len(set(widths)) == 1 and name not in {task.name for task in TASKS}


def latency(result, folder):
    """Return a table of the libraries, and one of fastprop's steps."""
    cases, steps = {}, []
    for each in result["measurements"]:
        case, _, library = each["name"].rpartition(": ")
        if case:
            cases.setdefault(library, {})[case] = each["value"]
        else:
            steps.append([each["name"], three(each["value"])])
    names = list(dict.fromkeys(case for found in cases.values() for case in found))
    lines = [
        [library, *(three(found[case]) if case in found else "" for case in names)] for library, found in cases.items()
    ]
    text = "Microseconds of a call on one thread."
    text += " onnxruntime cannot be held to AVX2.\n\n" if result.get("restrictions") else "\n\n"
    text += table(["library", *names], lines) + "\n"
    return text + table(["fastprop", "us"], steps)


def cachemisses(result, folder):
    """Return a table of the misses of each product."""
    rows = [[each["name"], f"{each['value']:,.0f}"] for each in result["measurements"]]
    caches = result["caches"]
    text = f"Read misses of a call, counted by cachegrind with an L1 of {caches['L1'] // 1024} KB and an L2 of "
    return text + f"{caches['L2'] // 1024} KB, AVX2.\n\n" + table(["product", "read misses"], rows)


def distributed(result, folder):
    """Return a table of the steps of several ranks, beside one process and the bare sum of the gradient."""
    cases = {}
    for each in result["measurements"]:
        cases.setdefault((each["carrier"], each["ranks"], each["case"]), {})[each["contestant"]] = each["value"]
    names = ["epoch alone", "epoch", "step alone", "step", "sum", "communicator", "pass"]
    lines = [[*case, *(three(us[name]) if name in us else "" for name in names)] for case, us in cases.items()]
    text = (
        "Microseconds, medians; every rank has the rows of a batch. sum: the bare one of the carrier; pass: over the "
    )
    return (
        text + "gradient. Two cores only.\n\n" + table(["carrier", "ranks", "network / rows of a rank", *names], lines)
    )


def measurements(result, folder):
    """Return a table of measurements: name, value and unit."""
    rows = [[each["name"], f"{three(each['value'])} {each['unit']}"] for each in result["measurements"]]
    return table(["measurement", "result"], rows)


def tables(result, folder):
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
    return text + table(["table", *methods], rows)


# Kind of result -> title and section, in the order of the page; kernels.json is not shown, for its length.
SECTIONS = {
    "peers": ("Training steps", peers),
    "products": ("Products beside np.matmul", products),
    "threads": ("Two threads against one", threads),
    "latency": ("One call", latency),
    "native": ("One call without Python, by a handle", measurements),
    "cachemisses": ("Cache misses", cachemisses),
    "distributed": ("Several processes", distributed),
    "tables": ("Tables: scores beside boosted trees", tables),
    "time_to_accuracy": ("Time to reach an accuracy on MNIST", measurements),
    "memory": ("Memory, import time, installed size", measurements),
    "cliffs": ("Every width and batch from 1 to 130", measurements),
}


def comparisons(result):
    """Yield (what, the best other library, its number / fastprop's) of a result; a ratio below 1 is a loss."""
    if result["kind"] == "peers":
        for row in result["rows"]:
            if row["ratio"] is not None:
                what = [*(row[name] for name in KEY[:-1]), isa_of(result), f"{row['threads']}t"]
                yield ", ".join(what), row["fastest_peer"], row["ratio"]
        return
    cases = {}
    for each in result.get("measurements", []):
        case, _, name = each["name"].rpartition(": ")
        cases.setdefault(case, {})[name] = each["value"]
    for case, found in cases.items():
        others = {name: value for name, value in found.items() if name != "fastprop"}
        if "fastprop" in found and others:
            best = min(others, key=others.get)
            free = " (with AVX-512)" if best == "onnxruntime" and result.get("restrictions") else ""
            yield f"{case}, {isa_of(result)}", best + free, others[best] / found["fastprop"]


def misses_of(result):
    """Return a sentence for each target that a result misses."""
    return missed(result["rows"]) if result["kind"] == "peers" else result.get("missed", [])


def losses(results):
    """Return the comparisons that another library wins, as rows of a table, and the number of all."""
    found = [each for result in results for each in comparisons(result)]
    return [[what, best, ratio_text(ratio)] for what, best, ratio in found if ratio < 1], len(found)


def lost(results):
    """Return a table of the comparisons that another library wins, and the targets that are missed."""
    lines, compared = losses(results)
    text = f"Another library is ahead in {len(lines)} of {compared} comparisons on this page.\n\n"
    if lines:
        text += table(["what", "library", "its number / fastprop's"], lines) + "\n"
    misses = [f"- {isa_of(result)}: {miss}\n" for result in results for miss in misses_of(result)]
    return text + (f"Targets of `benchmarks/README.md` that are missed:\n\n{''.join(misses)}" if misses else "")


def isa_of(result):
    """Return the ISA of a result's kernels."""
    return result["isa"] or result["machine"]["fastprop"]["isa"]


def caches_of(machine):
    """Return the sizes of the caches of data as text."""
    caches = machine.get("caches") or {}
    return ", ".join(f"{name} {size.split(' ')[0]}" for name, size in caches.items() if name != "L1i")


def title_of(folder, results):
    """Return the names of a machine's CPU."""
    return f"{results[0]['machine']['cpu']} ({folder.replace('_', ' ')})"


def page(folder, results):
    """Return the page of a machine as text."""
    machine = results[0]["machine"]
    isas = ", ".join(dict.fromkeys(isa_of(result) for result in results))
    cores = max(result["machine"]["cores"] for result in results)
    parts = [f"# {title_of(folder, results)}\n", HEAD.format(folder=folder)]
    parts.append(f"{cores} cores, {caches_of(machine)}, {machine['system']}. Kernels: {isas}.\n")
    parts.append("## Where fastprop is not the fastest\n\n" + lost(results))
    for kind, (title, section) in SECTIONS.items():
        for result in (each for each in results if each["kind"] == kind):
            parts.append(f"## {title}, {isa_of(result)}\n\n{conditions(result)}")
            pictures = "".join(picture(title, folder, name, result) for name in CHARTS.get(kind, ()))
            parts.append(pictures + section(result, folder))
    return "\n".join(parts)


def pages():
    """Return the pages, file name -> text, or an empty dict without results, as in an sdist."""
    found, lines = {}, []
    for folder in sorted(path for path in RESULTS.glob("*") if path.is_dir()):
        results = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
        results = [each for each in results if each["kind"] in SECTIONS]
        name = f"{folder.name}.md"
        found[name] = page(folder.name, results)
        lost_rows, compared = losses(results)
        date = max(each["date"] for each in results)[:10]
        lines.append([f"[{title_of(folder.name, results)}]({name})", date, f"{len(lost_rows)} of {compared}"])
    if found:
        names = "\n".join(name.removesuffix(".md") for name in found)
        head = "# Performance\n\nA page for each machine that was measured, which begins with what others win.\n\n"
        found["index.md"] = f"{head}{table(SUMMARY, lines)}\n```{{toctree}}\n:hidden:\n\n{names}\n```\n"
    return found


def main():
    """Write the pages."""
    DOCS.mkdir(exist_ok=True)
    for name, text in pages().items():
        (DOCS / name).write_text(text, "utf-8")
        print(DOCS / name)


if __name__ == "__main__":
    main()
