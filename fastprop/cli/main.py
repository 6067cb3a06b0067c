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
from fastprop.cli import commands
from fastprop.io.output import STDOUT
from fastprop.io.streams import Stream
from fastprop.nn.activations import ACTIVATIONS

__all__ = ["main"]


def main(argv=None):
    """Run one command and return its exit status: 0, 2 for bad input, 130 after Ctrl-C.

    Parameters
    ----------
    argv : list of str, optional
        The arguments; those of the process by default.
    """
    _open_descriptors()
    out, err = Stream(sys.stdout), Stream(sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = _run(argv)
        out.flush()
        if isinstance(out.error, BrokenPipeError):  # `fastprop predict ... | head`: the reader has enough
            status = 141  # as a program that SIGPIPE ended
        elif out.error is not None and status == 0:
            _say(f"error: the standard output: {commands.one_line(out.error)}")
            status = 2
        err.flush()
    for stream in (out, err):
        if stream.error is not None:
            stream.discard()
    return status


def _run(argv):
    try:
        args = _parser().parse_args(argv)
        # a page that goes to the standard output has it for itself
        page_only = getattr(args, "page", None) == STDOUT
        with contextlib.redirect_stdout(sys.stderr if page_only else sys.stdout):
            args.run(args)
    except SystemExit as end:  # argparse after --help and --version
        return end.code or 0
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    except BrokenPipeError:  # of a pipe that was named as an output
        return 141
    except (ValueError, OSError, FloatingPointError, MemoryError) as error:
        _say(f"error: {commands.one_line(error)}")
        return 2
    return 0


def _say(sentence):
    print(f"fastprop: {sentence}", file=sys.stderr)


def _open_descriptors():
    """Where 0, 1 or 2 is closed a file that is opened would get that number, and all that C prints to it."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors end like every other: one line, status 2."""

    def error(self, message):
        raise ValueError(f"{message} ({self.prog} --help)")


def _parser():
    parser = _Parser(
        prog="fastprop",
        description="Train multi-layer perceptrons on tables, and predict with them.",
        epilog="""examples:
  fastprop demo                                     train on handwritten digits, beside NumPy
  fastprop train housing.csv --target price         writes housing.safetensors
  fastprop predict housing.safetensors new.csv --out predictions.csv
  fastprop explain housing.safetensors new.csv --row 3 --out page.html
  fastprop playground                               watch a network train, in the browser
  fastprop info                                     version, CPU, kernels, threads

`fastprop COMMAND --help` says more. Exit status: 0, 2 for bad input, 130 after Ctrl-C.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"fastprop {fp.__version__}")
    parser.set_defaults(run=lambda args: parser.print_help())
    subparsers = parser.add_subparsers(metavar="COMMAND")

    def command(name, run, summary, **more):
        sub = subparsers.add_parser(
            name,
            help=summary,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **{"description": summary, **more},
        )
        sub.set_defaults(run=run)
        return sub

    demo = command("demo", commands.demo, "train on the handwritten digits of the package, beside NumPy")
    demo.add_argument("--epochs", type=_integer(1), default=20, help="passes (default 20)")
    demo.add_argument("--seed", type=_integer(0), default=0, help="of every random choice")
    _add_train(command)
    predict = command(
        "predict",
        commands.predict,
        "predict a column with a model that `fastprop train` wrote",
        description="""Predict the target of every row of a CSV file, in the order of its rows.

The file needs the columns that the model was trained on, in any order; others are ignored. If it
has the target too, the predictions are scored. Classes come with the probability of each.""",
        epilog="example:\n  fastprop predict iris.safetensors new.csv --out predictions.csv",
    )
    predict.add_argument("model", metavar="MODEL", help="what `fastprop train` wrote")
    predict.add_argument("file", metavar="FILE.csv")
    predict.add_argument(
        "--out", metavar="FILE", type=_out_path, default=STDOUT, help="where to write (default, and -: to the screen)"
    )
    explained = command(
        "explain",
        commands.explain,
        "show every number of the passes over one row, and the chain rule",
        description="""Trace one row of a CSV file forward and backward through a model that `fastprop train` wrote:
every value, every derivative, from the inputs to the loss and back. The file needs the target too.""",
        epilog="""examples:
  fastprop explain iris.safetensors iris.csv --row 3 --out page.html
  fastprop explain iris.safetensors iris.csv --quantity "W2[0,1]\"""",
    )
    explained.add_argument("model", metavar="MODEL", help="what `fastprop train` wrote")
    explained.add_argument("file", metavar="FILE.csv")
    explained.add_argument("--row", metavar="N", type=_integer(1), default=1, help="counted from 1, the default")
    explained.add_argument("--quantity", metavar="NAME", help='its chain rule instead: "W2[0,1]", "b1[2]", "x[4]"')
    explained.add_argument(
        "--out", dest="page", metavar="FILE", type=_out_path, help="write a page that plays both passes (-: to stdout)"
    )
    playground = command(
        "playground",
        commands.playground,
        "open a page on which a network trains live on points in the plane",
        description="""Open a page in the browser on which a network trains live, in the real engine, on points in the
plane: change its layers, watch its weights and gradients, take one step, see every number of it.

The page is served to this machine alone, and only to whoever has its address, which holds a token.
Ctrl-C ends it.""",
        epilog="""examples:
  fastprop playground
  fastprop playground iris.csv                      two columns, and the last one to predict""",
    )
    playground.add_argument("file", metavar="FILE.csv", nargs="?", help="a table to begin with")
    playground.add_argument("--port", metavar="N", type=_integer(0), default=0, help="default: one that is free")
    playground.add_argument("--no-browser", action="store_true", help="only print the address")
    command("info", commands.info, "say version, CPU, kernels and threads")
    return parser


def _add_train(command):
    train = command(
        "train",
        commands.train,
        "train on a table (CSV) and write a model file",
        description="""Train a network to predict one column of a CSV file from the others.

The first line names the columns; commas, semicolons, tabs or bars part them. Columns of numbers are
standardised, columns of text become one input per category. Empty cells and NA, NaN, null are gaps:
the median stands in, and an input says so. Text in the target, or a few whole numbers, makes it a
classification, other numbers a regression; the output says which. The model file holds the
network and all that `fastprop predict` must know of the columns.""",
        epilog="""examples:
  fastprop train iris.csv --target species
  fastprop train housing.csv --target price --ignore id --hidden 128,64 --epochs 100
  fastprop train wine.csv --target quality --task regression --out wine.safetensors
  fastprop train iris.csv --target species --report iris.html""",
    )
    add = train.add_argument
    add("file", metavar="FILE.csv")
    add("--target", metavar="COLUMN", required=True, help="the column to predict")
    add("--out", metavar="FILE", type=_out_path, help="the model file (default: FILE.safetensors, here)")
    add(
        "--report",
        dest="page",
        metavar="FILE",
        type=_out_path,
        help="write what came out as one HTML page (-: to stdout; needs the extra `plots`)",
    )
    add(
        "--task",
        choices=["auto", "regression", "classification"],
        default="auto",
        help="default: auto, recognised from the target",
    )
    add(
        "--ignore",
        metavar="COLUMN",
        action="append",
        default=[],
        help="leave a column out; may be repeated",
    )
    add(
        "--categorical",
        metavar="COLUMN",
        action="append",
        default=[],
        help="take a column of numbers as categories; may be repeated",
    )
    add(
        "--hidden",
        metavar="N,N,...",
        type=_widths,
        default=[64, 64],
        help="widths of the hidden layers, or none (default 64,64)",
    )
    add("--activation", choices=list(ACTIVATIONS), default="relu", help="default: relu")
    add("--epochs", metavar="N", type=_integer(1), help="default: 20 to 300, fewer for more rows")
    add("--batch-size", metavar="N", type=_integer(1), help="default: 64")
    add(
        "--rate",
        type=_real("above 0", lambda x: x > 0),
        help="learning rate (default 0.01 for regression, 0.05 for classification)",
    )
    add(
        "--momentum",
        type=_real("from 0 to below 1", lambda x: 0 <= x < 1),
        default=0.9,
        help="default 0.9",
    )
    add(
        "--test-fraction",
        metavar="SHARE",
        type=_real("from 0 to below 1", lambda x: 0 <= x < 1),
        default=0.2,
        help="share of the rows kept for testing (default 0.2)",
    )
    add("--seed", metavar="N", type=_integer(0), default=0, help="of every random choice")
    add("--dtype", choices=["float32", "float64"], default="float32", help="default: float32")


def _out_path(text):
    """The path of an output; - is the standard output."""
    return STDOUT if text == "-" else text


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


def _widths(text):
    if text.strip().lower() == "none":
        return []
    try:
        widths = [int(part) for part in text.split(",")]
    except ValueError:
        widths = [0]
    if min(widths) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted widths such as 64,64, or none for a linear model")
    return widths


if __name__ == "__main__":
    sys.exit(main())
