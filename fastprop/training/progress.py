"""The progress that ``fit`` shows: a line that changes in a terminal or a notebook, else a line for each epoch."""

import sys
import threading
import time
from collections.abc import Callable, Sequence
from math import inf
from typing import Any

from fastprop import _validation
from fastprop._util.text import aligned, number, width
from fastprop.io import streams

SHORTEST, LONGEST = 12, 40  # columns of the bar: a shorter one says nothing, a longer one no more
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
    """A line for each epoch, with a star where the cost is the lowest so far, and in the end one for the best epoch."""

    def __init__(self) -> None:
        self._best, self._of, self._epoch, self._shown = inf, "cost", 0, 0
        self._columns: dict[str, str] = {}

    def epoch(self, row: dict[str, Any], epochs: int) -> None:
        """Print the row."""
        self._of = "validation_cost" if "validation_cost" in row else "cost"
        cost = row[self._of]
        best = cost < self._best
        if best:
            self._best, self._epoch = cost, row["epoch"]
        shown = [f"{_short(name)} {self._column(name, value)}" for name, value in row.items() if name not in TIMES]
        shown.append(f"{self._column('seconds', row['seconds'], '.3g')} s")
        streams.show(f"epoch {row['epoch']:{len(str(epochs))}}/{epochs}  {'  '.join(shown)}{'  *' if best else ''}")
        self._shown += 1

    def _column(self, name: str, value: float, form: str = ".6g") -> str:
        """Return a number with its decimal point below that of the one before."""
        self._columns[name] = aligned([self._columns.get(name, ""), number(value, form)])[1]
        return self._columns[name]

    def close(self) -> None:
        """Say which epoch was the best."""
        if self._epoch and self._shown > 1:
            streams.show(f"best (*): epoch {self._epoch}, {_short(self._of)} {number(self._best)}")


drawn: "Bar | None" = None  # the line that is on the screen


class Bar(Silent):
    """A line that changes: the epoch, the cost and the time left, and as much else as the terminal is wide.

    Its methods may be called by several threads.
    """

    def __init__(self, stream: Any = None):
        self._stream = streams.Stream(sys.stderr if stream is None else stream)
        self._lock = threading.Lock()
        self._begin, self._first = 0.0, 0
        self._text, self._beside = "", list[str]()

    def rows(self, epoch: int, epochs: int, done: int, rows: int, cost: float) -> None:
        """Draw the line."""
        seen, total, now = (epoch - 1) * rows + done, epochs * rows, time.monotonic()
        with self._lock:
            if not self._begin:
                self._begin, self._first = now, (epoch - 1) * rows
            speed = (seen - self._first) / max(now - self._begin, 1e-9)  # rows a second
            left = clock((total - seen) / speed) if speed else "?"
            cost_now, left = f"cost {number(cost, '.4g')}", f"{left} left"
            parts = [f"epoch {epoch}/{epochs}", cost_now, left, f"{seen / total:.0%}", *self._beside]
            # The last column stays empty: in it, some terminals go to the next line.
            most = (streams.width(self._stream) or streams.USUAL) - 1
            text = line([*parts, f"{speed:,.0f} rows/s"], most, first=[cost_now, left])
            length = min(most - len(text) - 4, LONGEST)
            if length >= SHORTEST:
                text += f"  [{'#' * (length * seen // total):{length}}]"
            self._write(f"\r{text:{len(self._text)}}")
            self._text = text
            _draws(self)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def epoch(self, row: dict[str, Any], epochs: int) -> None:
        """Keep the other results, to show them beside the cost."""
        self._beside = _beside(row)

    def above(self, line: str) -> None:
        """Print a line to the standard output, above the one that changes."""
        with self._lock:
            self._write(f"\r{' ' * len(self._text)}\r")
            streams.show(line)
            self._write(self._text)

    def close(self) -> None:
        """End the line, which stays on the screen."""
        with self._lock:
            if self._text:
                self._write("\n")
                self._text = ""
        _draws(None)


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


def bar() -> Bar | None:
    """Return the line that changes if it can be drawn here, in a terminal or a notebook, and else None."""
    return Bar() if streams.Stream(sys.stderr).isatty() or "ipykernel" in sys.modules else None


def say(line: str) -> None:
    """Print a line at once, above the one that changes."""
    if drawn is None:
        streams.show(line)
    else:
        drawn.above(line)


def line(parts: Sequence[str], most: int, first: Sequence[str], between: str = "  ") -> str:
    """Internal: return a line of the parts that fit, in their order, of which those in `first` go before others."""
    shown: list[str] = []
    for part in sorted(parts, key=lambda part: part not in first):
        if width(between.join([*shown, part])) <= most:
            shown.append(part)
    return between.join(sorted(shown, key=parts.index))


def clock(seconds: float) -> str:
    """Internal: return a time as 0:09 or 1:02:03."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _short(name: str) -> str:
    return "validation" if name == "validation_cost" else name.replace("_", " ")


def _beside(row: dict[str, Any]) -> list[str]:
    results = [(name, value) for name, value in row.items() if name not in ("cost", *TIMES)]
    return [f"{_short(name)} {number(value, '.4g')}" for name, value in results]


def _draws(shown: Bar | None) -> None:
    global drawn
    drawn = shown
