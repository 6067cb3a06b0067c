"""The progress that ``fit`` shows: a bar in a terminal or a notebook, else a line for each epoch."""

import sys
from collections.abc import Callable
from typing import Any

from fastprop import _validation
from fastprop._util.text import number
from fastprop.io import streams

TIMES = ("epoch", "seconds")  # the columns of a history that are not results


class Silent:
    """A display that shows nothing, and the base class of the others."""

    rows: Callable[..., object] | None = None  # called about every 50 ms: (epoch, epochs, rows done, rows, cost)

    def epoch(self, row: dict[str, Any], epochs: int) -> None:
        """Take the history's row of an epoch that is over."""

    def close(self) -> None:
        """End the display."""


class Called(Silent):
    """A function of the user's own, which is called with the progress."""

    def __init__(self, function: Callable[..., object]):
        self.rows = function


class Lines(Silent):
    """A line for each epoch."""

    def epoch(self, row: dict[str, Any], epochs: int) -> None:
        """Print the row."""
        shown = "  ".join(f"{_short(name)} {number(value)}" for name, value in row.items() if name not in TIMES)
        streams.show(f"epoch {row['epoch']}/{epochs}  {shown}  {number(row['seconds'], '.3g')} s")


class Bar(Silent):
    """A bar over all rows of all epochs, with rate, cost and remaining time, drawn by tqdm."""

    def __init__(self, tqdm: Any):
        self._tqdm, self._beside = tqdm, ""
        self._bar: Any = None

    def rows(self, epoch: int, epochs: int, done: int, rows: int, cost: float) -> None:
        """Move the bar."""
        if self._bar is None:
            self._bar = self._tqdm(total=epochs * rows, initial=(epoch - 1) * rows, unit=" rows", unit_scale=True)
        self._bar.set_description_str(f"epoch {epoch}/{epochs}", refresh=False)
        self._bar.set_postfix_str(f"cost {number(cost, '.4g')}{self._beside}", refresh=False)
        self._bar.update((epoch - 1) * rows + done - self._bar.n)

    def epoch(self, row: dict[str, Any], epochs: int) -> None:
        """Keep the other results, to show them beside the cost."""
        self._beside = _beside(row)

    def close(self) -> None:
        """Close the bar, which stays on the screen."""
        if self._bar is not None:
            self._bar.close()


class RichBar(Silent):
    """A bar like ``Bar``, drawn by rich."""

    def __init__(self, progress: Any):
        self._progress, self._beside = progress, ""
        self._bar: Any = None
        self._task: Any = None

    def rows(self, epoch: int, epochs: int, done: int, rows: int, cost: float) -> None:
        """Move the bar."""
        if self._bar is None:
            from rich import console

            columns = [*self._progress.Progress.get_default_columns()[:3], self._progress.TimeRemainingColumn()]
            columns.append(self._progress.TextColumn("{task.fields[beside]}"))
            self._bar = self._progress.Progress(
                *columns,
                console=console.Console(stderr=True),
                # otherwise the prints of a callback would leave a file or a pipe for the terminal
                redirect_stdout=streams.Stream(sys.stdout).isatty(),
            )
            self._task = self._bar.add_task("", total=epochs * rows, completed=(epoch - 1) * rows, beside="")
            self._bar.start()
        speed = self._bar.tasks[0].speed or 0.0
        self._bar.update(
            self._task,
            completed=(epoch - 1) * rows + done,
            description=f"epoch {epoch}/{epochs}",
            beside=f"{speed:,.0f} rows/s  cost {number(cost, '.4g')}{self._beside}",
        )

    def epoch(self, row: dict[str, Any], epochs: int) -> None:
        """Keep the other results, to show them beside the cost."""
        self._beside = _beside(row)

    def close(self) -> None:
        """Close the bar, which stays on the screen."""
        if self._bar is not None:
            self._bar.stop()


def parse(given: Any, rows: int | None) -> Silent:
    """Return the display for what a user gave: True, False or a function. A bar needs the number of rows of an epoch.

    Raises
    ------
    TypeError
        If it is something else.
    """
    function = _validation.callback("progress", given, (True, False))
    if function is not None:
        return Called(function)
    if not given:
        return Silent()
    return (None if rows is None else bar()) or Lines()


def bar() -> Silent | None:
    """Return the bar that can be drawn here, in a terminal or a notebook, by tqdm or else by rich; None if none can."""
    is_terminal = streams.Stream(sys.stderr).isatty()
    if is_terminal or "ipykernel" in sys.modules:
        try:
            from tqdm.auto import tqdm

            return Bar(tqdm)
        except ImportError:
            pass
    if is_terminal:
        try:
            from rich import progress

            return RichBar(progress)
        except ImportError:
            pass
    return None


def say(line: str) -> None:
    """Print a line at once, above a bar that is being drawn. Rich moves its bar by itself, tqdm has to be asked."""
    tqdm = sys.modules.get("tqdm.auto")
    if tqdm is None:
        streams.show(line)
    else:
        tqdm.tqdm.write(line, file=sys.stdout)


def _short(name: str) -> str:
    return "validation" if name == "validation_cost" else name.replace("_", " ")


def _beside(row: dict[str, Any]) -> str:
    results = [(name, value) for name, value in row.items() if name not in ("cost", *TIMES)]
    return "".join(f"  {_short(name)} {number(value, '.4g')}" for name, value in results)
