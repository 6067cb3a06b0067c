"""Reports of the results: derived numbers, the table, and missed targets."""

from dataclasses import fields

from contest.contestant import CONTESTANTS
from contest.tasks import Task, target_of, task_named
from fma_limit import isa_in_use, limit_for

OURS = "fastprop"


def task_of(row):
    """Return the `Task` of a result row, with the loss and rate of the committed list."""
    known = {"activation", "dtype", "optimizer", "threads"}
    base = task_named(row["task"])
    return Task(
        **{f.name: row[f.name] if f.name in known else getattr(base, f.name) for f in fields(Task)}
    )


def derive(row, limits):
    """Add ratio, GFLOP/s, share of the limit and targets to a result row, and return it."""
    entries = row["contestants"]
    valid = {name: entry for name, entry in entries.items() if entry["agrees"] and entry["finite"]}
    peers = {name: entry["us"] for name, entry in valid.items() if name != OURS}
    limit = limit_for(limits, row["dtype"])
    row["isa"] = isa_in_use()
    row["limit"] = limit
    row["fastest_peer"] = min(peers, key=peers.get) if peers else None
    row["ratio"] = row["gflops"] = row["share"] = None
    if OURS in entries:
        row["gflops"] = row["flops"] / entries[OURS]["us"] / 1e3
        row["share"] = row["gflops"] / limit if limit else None
        row["ratio"] = min(peers.values()) / entries[OURS]["us"] if peers else None
    # No trainer can beat the FMA limit, so no ratio can exceed this one: the target has to be read
    # beside it.
    bound = row["flops"] / limit / 1e3 if limit else None
    row["highest_ratio"] = min(peers.values()) / bound if peers and bound else None
    row["target_ratio"], row["target_share"] = target_of(task_of(row), row["isa"])
    return row


def number(value, digits=3):
    """Return a number with `digits` significant digits and no exponent, or a dash for None."""
    if value is None:
        return "-"
    text = f"{value:#.{digits}g}"
    return (f"{value:.0f}" if "e" in text else text).rstrip(".")


def header(row, limits):
    """Return the line above a table."""
    limit = number(limit_for(limits, row["dtype"]))
    threads = f"{row['threads']} thread{'s' if row['threads'] > 1 else ''}"
    unit = "microseconds of CPU time a step" if row["clock"] == "cpu" else "microseconds a step"
    what = f"{row['activation']}, {row['dtype']}, {row['optimizer']}, {row['isa']}, {threads}"
    return f"{what}: {unit} (FMA limit {limit} GFLOP/s)"


COLUMNS = ("network / batch", *CONTESTANTS, "ratio", "asked", "bound", "GFLOP/s", "of limit")


def cells(row):
    """Return a table row as strings. "bound" is the ratio of a fastprop that runs at the FMA limit."""
    entries = row["contestants"]
    times = []
    for name in CONTESTANTS:
        entry = entries.get(name)
        mark = "" if entry is None or (entry["agrees"] and entry["finite"]) else " (!)"
        times.append("-" if entry is None else number(entry["us"]) + mark)
    return (
        row["task"],
        *times,
        number(row["ratio"]),
        number(row["target_ratio"]),
        number(row["highest_ratio"]),
        number(row["gflops"]),
        number(row["share"], 2),
    )


def table(rows):
    """Return a Markdown table of derived rows, padded for reading in a terminal."""
    lines = [COLUMNS, *(cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    text = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    text.insert(1, "| " + " | ".join("-" * w for w in widths) + " |")
    return "\n".join(text)


def warnings(rows):
    """Return the notes that belong to a table: absent libraries, disagreements, too many threads."""
    found = []
    for row in rows:
        where = (
            f"{row['task']} {row['activation']} {row['dtype']} {row['optimizer']} {row['threads']}t"
        )
        for name, entry in row["contestants"].items():
            if not entry["finite"]:
                found.append(
                    f"WARNING {where}: {name} ended with NaN or infinity; it is left out of the ratio"
                )
            elif not entry["agrees"]:
                same, own = entry["distance"]
                found.append(
                    f"WARNING {where}: {name} DOES NOT DO THE SAME WORK: after an epoch its parameters "
                    f"differ from the baseline's by {same:.2g} of their change in the same order, "
                    f"{own:.2g} in its own; it is left out of the ratio"
                )
            elif entry["distance"][0] is None:
                found.append(
                    f"WARNING {where}: no other library to compare with, so {name}'s work was not verified"
                )
            if entry["cpus"] > row["threads"] * 1.1:
                found.append(
                    f"WARNING {where}: {name} kept {entry['cpus']:.2f} CPUs busy, {row['threads']} allowed"
                )
    absent = {(name, reason) for row in rows for name, reason in row["absent"].items()}
    for name, reason in sorted(absent):
        found.append(f"absent: {name} (pip install {CONTESTANTS[name][1]}); {reason}")
    return found


def missed(rows):
    """Return one sentence per target that was not reached."""
    sentences = []
    for row in rows:
        where = f"{row['task']} {row['activation']} {row['threads']}t"
        ours = row["contestants"].get(OURS)
        if ours is None:
            sentences.append(f"{where}: fastprop was not measured")
            continue
        if not (ours["agrees"] and ours["finite"]):
            sentences.append(f"{where}: fastprop does not agree with the baseline")
        asked, share = row["target_ratio"], row["target_share"]
        if asked is not None and (row["ratio"] is None or row["ratio"] < asked):
            sentences.append(
                f"{where}: ratio {number(row['ratio'])} to {row['fastest_peer']}, asked {asked}"
                f" (at the FMA limit it would be {number(row['highest_ratio'])})"
            )
        if share is not None and (row["share"] is None or row["share"] < share):
            sentences.append(f"{where}: {number(row['share'])} of the FMA limit, asked {share}")
    return sentences
