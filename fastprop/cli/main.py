"""The command line: `fastprop demo`, `train`, `predict`, `explain`, `playground`, `info` (or `python -m fastprop`).

Results go to the standard output, notes and errors to the standard error. Bad input ends with status
2 and one line that says what to do, Ctrl-C with status 130.
"""

import argparse
import contextlib
import math
import os
import sys

import fastprop as fp
from fastprop._util.text import wrapped
from fastprop.cli import demo, explain, info, playground, predict, train
from fastprop.cli._common import ERRORS, one_line
from fastprop.io.output import STDOUT
from fastprop.io.streams import NARROWEST, Terminal, width
from fastprop.tabular.recipe import EFFORTS

__all__ = ["main"]


def main(argv=None):
    """Run one command and return its exit status: 0, 2 for bad input, 130 after Ctrl-C.

    Parameters
    ----------
    argv : list of str, optional
        The arguments; by default those of the process.
    """
    _open_descriptors()
    out, err = Terminal(sys.stdout), Terminal(sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = _run(argv)
        out.flush()
        if isinstance(out.error, BrokenPipeError):  # the reader closed the pipe, as in `fastprop predict ... | head`
            status = 141  # 128 + SIGPIPE, as shells report a program that the signal ended
        elif out.error is not None and status == 0:
            _say(f"error: the standard output: {one_line(out.error)}")
            status = 2
        err.flush()
    for stream in (out, err):
        if stream.error is not None:
            stream.discard()
    return status


def _run(argv):
    try:
        words = sys.argv[1:] if argv is None else argv
        args = _parser().parse_args(words)
        args.words = words[1:]  # behind the name of the command
        # Where a page or JSON goes to the standard output nothing else does.
        page_only = STDOUT in (getattr(args, "page", None), getattr(args, "json", None))
        with contextlib.redirect_stdout(sys.stderr if page_only else sys.stdout):
            args.run(args)
    except SystemExit as end:  # argparse after --help and --version
        return end.code or 0
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    except BrokenPipeError:  # the output is a pipe that nobody reads any more
        return 141
    except ERRORS as error:
        _say(f"error: {one_line(error)}")
        return 2
    return 0


def _say(sentence):
    print(f"fastprop: {sentence}", file=sys.stderr)


def _open_descriptors():
    """Open descriptors 0, 1 and 2 where they are closed.

    Otherwise the next file that is opened would get one of these numbers, and with it whatever C code prints.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


WIDEST = 100  # columns of a text: longer lines are hard to follow


class _Help(argparse.RawDescriptionHelpFormatter):
    """Fills paragraphs, and leaves lines that begin with a space and the headings above them as they are."""

    def __init__(self, prog):
        columns = width(sys.stdout)
        super().__init__(prog, width=None if columns is None else min(max(columns - 2, NARROWEST), WIDEST))

    def _fill_text(self, text, width, indent):
        def filled(part):
            return part if "\n " in part else "\n".join(wrapped(" ".join(part.split()), width, 0))

        return "\n\n".join(map(filled, text.split("\n\n")))


class _Parser(argparse.ArgumentParser):
    """A parser that raises its errors, so that they end like all others: with one line and status 2."""

    def error(self, message):
        raise ValueError(f"{message} ({self.prog} --help)")


def _parser():
    parser = _Parser(
        prog="fastprop",
        description="Train multi-layer perceptrons on tables, and predict with them.",
        epilog="""examples:
  fastprop demo                                     train on handwritten digits, beside NumPy
  fastprop train housing.csv --target price         write housing.safetensors
  fastprop predict housing.safetensors new.csv --out predictions.csv
  fastprop explain housing.safetensors new.csv --row 3 --out page.html
  fastprop playground                               watch a network train, in the browser
  fastprop info                                     version, CPU, kernels, threads

`fastprop COMMAND --help` describes a command. Exit status: 0, 2 for bad input, 130 after Ctrl-C.""",
        formatter_class=_Help,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"fastprop {fp.__version__}")
    parser.set_defaults(run=lambda args: parser.print_help())
    subparsers = parser.add_subparsers(metavar="COMMAND")

    def command(module, summary, **texts):
        """Add a command, which is called as its module is."""
        added = subparsers.add_parser(
            module.__name__.rpartition(".")[2],
            help=summary,
            formatter_class=_Help,
            allow_abbrev=False,
            **{"description": summary, **texts},
        )
        added.set_defaults(run=module.run)
        return added.add_argument

    _add_demo(command)
    _add_train(command)
    _add_predict(command)
    _add_explain(command)
    _add_playground(command)
    command(info, "print version, CPU, kernels and threads")
    return parser


def _add_demo(command):
    add = command(demo, "train on the handwritten digits of the package, beside NumPy")
    add("--epochs", metavar="N", type=_integer(1), default=20, help="passes over the images (default 20)")
    add("--seed", metavar="N", type=_integer(0), default=0, help="the seed of every random choice (default 0)")


def _add_train(command):
    add = command(
        train,
        "train on a table (CSV) and write a model file",
        description="""Train a network to predict one column of a CSV file from the others.

The first line names the columns, which are separated by commas, semicolons, tabs or bars. Columns may
hold numbers, categories, times, texts and gaps. Where the target is text or a few whole numbers the
task is a classification, otherwise a regression; the output says which. Several networks are trained,
each of which holds out other rows to end its training in time; predictions are their mean. The model
file holds them and what `fastprop predict` has to know of the columns.

Several files are one table. Where MPI starts several processes they train together: each reads its share
of the rows, and the first one prints and writes.""",
        epilog="""examples:
  fastprop train iris.csv --target species
  fastprop train housing.csv --target price --ignore id --effort high
  fastprop train wine.csv --target quality --task regression --out wine.safetensors
  mpiexec -n 8 fastprop train 'part-*.parquet' --target price
  fastprop train iris.csv --target species --report iris.html""",
    )
    add("files", metavar="FILE", nargs="+", help="a table, or several of the same columns; 'part-*.csv' in quotes too")
    add("--target", metavar="COLUMN", required=True, help="the column to predict")
    add(
        "--out",
        metavar="FILE",
        type=_out_path,
        help="the model file (default: the name of the table with .safetensors, in the current directory)",
    )
    add(
        "--report",
        dest="page",
        metavar="FILE",
        type=_out_path,
        help="write the results as one HTML page (-: to the standard output; needs the extra `plots`)",
    )
    add(
        "--task",
        choices=["auto", "regression", "classification"],
        default="auto",
        help="auto, the default, recognises the task from the target",
    )
    add("--ignore", metavar="COLUMN", action="append", default=[], help="leave a column out; may be repeated")
    add(
        "--categorical",
        metavar="COLUMN",
        action="append",
        default=[],
        help="treat a column of numbers as categories; may be repeated",
    )
    add(
        "--keep",
        metavar="COLUMN",
        action="append",
        default=[],
        help="learn from a column although it looks like row numbers, names or a copy; may be repeated",
    )
    add(
        "--na",
        metavar="SPELLING",
        action="append",
        default=[],
        help="how gaps are spelt, instead of the usual spellings (default: these too); may be repeated",
    )
    add("--dates", choices=["dmy", "mdy"], help="the order of day and month in 1/2/2026 (default: the cells decide)")
    add(
        "--effort",
        choices=list(EFFORTS),
        default="medium",
        help="how much work is spent on a better model (default medium)",
    )
    add("--time", metavar="SECONDS", type=_real("above 0", lambda x: x > 0), help="end the training after about this")
    add(
        "--members", metavar="N", type=_integer(1), help="networks with shared weights in each (default: by the effort)"
    )
    add(
        "--groups",
        metavar="COLUMN",
        help="rows with the same cell here are held out together; the column is left out of learning",
    )
    add("--time-column", metavar="COLUMN", help="the rows that are held out are the latest by this column")
    add("--id", metavar="COLUMN", help="leave a column out that names the rows; predictions stand beside it")
    add(
        "--validation",
        metavar="SHARE or FILE",
        type=_share_or_path,
        help="end the training by the score of this share of the rows, or of the rows of a file (default: each network "
        "holds out other rows)",
    )
    add(
        "--test-fraction",
        metavar="SHARE",
        type=_real("from 0 to below 1", lambda x: 0 <= x < 1),
        default=0.0,
        help="keep a share of the rows for a test (default 0: all rows train, each is scored by a network that did not "
        "see it)",
    )
    add(
        "--cv",
        metavar="FOLDS",
        type=_integer(2),
        help="score by cross-validation: train anew for each fold, on all others",
    )
    add("--no-compare", action="store_true", help="train no linear model and no boosted trees for comparison")
    add("--json", metavar="FILE", type=_out_path, help="write all that was found as JSON (-: to the standard output)")
    add("--mpi", action="store_true", help="train with the processes that MPI started (default: if that is recognised)")
    add("--seed", metavar="N", type=_integer(0), default=0, help="the seed of every random choice (default 0)")


def _add_predict(command):
    add = command(
        predict,
        "predict a column with a model that `fastprop train` wrote",
        description="""Predict the target of every row of a table, in the order of its rows.

The file needs the columns that the model was trained on, in any order; other columns are ignored.
If it has the target too, the predictions are scored. A classification gives the class and the
probability of each class.""",
        epilog="example:\n  fastprop predict iris.safetensors new.csv --out predictions.csv",
    )
    add("model", metavar="MODEL", help="a model that `fastprop train` wrote")
    add("file", metavar="FILE")
    add(
        "--out",
        metavar="FILE",
        type=_out_path,
        default=STDOUT,
        help="the file to write (default, and -: the standard output)",
    )
    add("--id", metavar="COLUMN", help="write this column beside the predictions (default: that of `train --id`)")
    add("--probability-only", action="store_true", help="write the probabilities of the classes alone")


def _add_explain(command):
    add = command(
        explain,
        "say which columns moved a prediction, and show every number of its passes",
        description="""Say in words and bars which columns of a row moved its prediction, and by how much. If the file
has the target too, trace the row forward and backward through one of the networks of the model: every
value and every derivative, from the inputs to the loss and back.""",
        epilog="""examples:
  fastprop explain iris.safetensors iris.csv --row 3 --out page.html
  fastprop explain iris.safetensors iris.csv --quantity "W2[0,1]\"""",
    )
    add("model", metavar="MODEL", help="a model that `fastprop train` wrote")
    add("file", metavar="FILE")
    add("--row", metavar="N", type=_integer(1), default=1, help="the row, counted from 1 (default 1)")
    add(
        "--fold",
        metavar="N",
        type=_integer(1),
        help="the network that is traced, counted from 1 (default: that with the largest share in the prediction)",
    )
    add("--quantity", metavar="NAME", help='show the chain rule of one quantity: "W2[0,1]", "b1[2]", "x[4]"')
    add(
        "--out",
        dest="page",
        metavar="FILE",
        type=_out_path,
        help="write a page that plays both passes (-: to the standard output)",
    )


def _add_playground(command):
    add = command(
        playground,
        "open a page on which a network trains live on points in the plane",
        description="""Open a page in the browser on which a network trains live, in the real engine, on points in the
plane: change its layers, watch its weights and gradients, take one step, see every number of it.

Only this machine can reach the page, and only with its address, which holds a token. Ctrl-C ends the
server.""",
        epilog="""examples:
  fastprop playground
  fastprop playground iris.csv                      two columns, and the last one to predict
  fastprop playground --save page.html              one file that needs no server, for a course's web site""",
    )
    add("file", metavar="FILE.csv", nargs="?", help="a table to begin with")
    add("--save", metavar="FILE.html", type=_out_path, help="write the page as one file that trains without Python")
    add("--port", metavar="N", type=_integer(0), default=0, help="the port (default: one that is free)")
    add("--no-browser", action="store_true", help="print the address, and open no browser")


def _out_path(text):
    """Return the path of an output; - stands for the standard output."""
    return STDOUT if text == "-" else text


def _share_or_path(text):
    try:
        float(text)
    except ValueError:
        return text
    return _real("from 0 to below 1", lambda x: 0 <= x < 1)(text) or None


def _integer(least):
    def convert(text):
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"got {text!r}, wanted a whole number from {least} up")
        return value

    return convert


def _real(wanted, allowed):
    def convert(text):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and allowed(value)):
            raise argparse.ArgumentTypeError(f"got {text!r}, wanted a number {wanted}")
        return value

    return convert


if __name__ == "__main__":
    sys.exit(main())
