"""`fastprop train`: networks learn to predict one column of a table from the others."""

import json
import math
from pathlib import Path

from fastprop.cli._common import check_outputs
from fastprop.cli.study import Study
from fastprop.io import output

__all__ = ["run"]


def run(args):
    """Train on a table and write a model file."""
    out = f"{Path(args.file).stem}.safetensors" if args.out is None else args.out
    given = [("--out", out, False), ("--report", args.page, True), ("--json", args.json, True)]
    check_outputs(given, args.file)  # a model is read back: a file
    report = None if args.page is None else _report()
    study = Study.of(args)
    study.describe()
    comparison = study.cross_validate() if args.cv else None
    model = study.fit(study.training)
    study.describe_training(model)
    if comparison is None:
        comparison = study.compare(model)
    study.describe_scores(model, comparison)
    model.save(out)
    print(f"model: {out}  (fastprop predict {out} FILE)")
    found = study.importances(model) if args.json is not None or report is not None else []
    if args.json is not None:
        findings = json.dumps(_in_json(study.findings(model, comparison, found)), indent=2, allow_nan=False)
        output.write(args.json, findings + "\n", streams=True)
        print(f"findings: {args.json}")
    if report is not None:
        report.write(study, model, comparison, found, args.page)
        print(f"report: {args.page}")


def _report():
    """Return the module of reports, or raise an error that says how to install what it needs."""
    from fastprop.cli import report  # imported here, since without --report nothing of it is needed
    from fastprop.plots import style

    try:
        style.require()
    except ImportError as error:
        raise ValueError(f"--report: {error}") from None
    return report


def _in_json(value):
    """Return a value in which numbers that are not finite, which JSON lacks, are None."""
    if isinstance(value, dict):
        return {key: _in_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_in_json(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
