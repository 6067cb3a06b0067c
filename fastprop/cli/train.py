"""`fastprop train`: networks learn to predict one column of a table from the others."""

import json
import math
import sys
from pathlib import Path

from fastprop.cli._common import ERRORS, check_outputs, one_line
from fastprop.cli.ranks import join, quiet
from fastprop.cli.study import Study
from fastprop.distributed import RankError
from fastprop.io import output
from fastprop.tabular.readers import find_files

__all__ = ["run"]


def run(args):
    """Train on a table and write a model file; of several ranks the first one prints, compares and writes."""
    ranks = join(args.mpi)
    try:
        with quiet(ranks), ranks.together():
            files = ranks.decide(lambda: find_files(args.files))
            out = f"{_name_of(files)}.safetensors" if args.out is None else args.out
            ranks.decide(lambda: _check(args, out, files))
            study = Study.of(args, files, ranks)
            if ranks.rank == 0:
                study.describe()
            comparison = study.cross_validate() if args.cv else None
            model = study.fit(study.training)
            study, model = study.on_sample(model)
    except KeyboardInterrupt:
        if ranks.rank == 0:
            raise
        raise SystemExit(130) from None
    except ERRORS as error:
        if ranks.rank == 0:
            raise
        # Rank 0 says what it is told; but this rank may have ended it before.
        if not (isinstance(error, RankError) or ranks.is_common(error)):
            print(f"fastprop: rank {ranks.rank}: error: {one_line(error)}", file=sys.stderr)
        raise SystemExit(2) from None
    if ranks.rank == 0:
        _finish(args, study, model, comparison, out)


def _check(args, out, files):
    """Refuse outputs that cannot be written, before the work begins."""
    given = [("--out", out, False), ("--report", args.page, True), ("--json", args.json, True)]
    check_outputs(given, *files)  # a model is read back: a file
    if args.page is not None:
        _report()


def _name_of(files):
    """Return the name of the model file: that of the table, or of the first one without its number."""
    stem = Path(files[0]).stem
    return stem if len(files) == 1 else stem.rstrip("-_. 0123456789") or "model"


def _finish(args, study, model, comparison, out):
    """Compare the model with others, and write all that was asked for."""
    study.describe_training(model)
    if comparison is None:
        comparison = study.compare(model)
    study.describe_scores(model, comparison)
    model.save(out)
    print(f"model: {out}  (fastprop predict {out} FILE)")
    found = study.importances(model) if args.json is not None or args.page is not None else []
    if args.json is not None:
        findings = json.dumps(_in_json(study.findings(model, comparison, found)), indent=2, allow_nan=False)
        output.write(args.json, findings + "\n", streams=True)
        print(f"findings: {args.json}")
    if args.page is not None:
        _report().write(study, model, comparison, found, args.page)
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
