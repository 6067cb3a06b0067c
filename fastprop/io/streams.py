"""Printing for people: to a stream of any encoding, and to nothing where there is no stream."""

import contextlib
import os
import sys
from typing import Any

from fastprop._util.text import wrapped

USUAL = 80  # columns of a terminal that does not say how many it has
NARROWEST = 20  # columns that lines are wrapped to: in fewer, hardly a word would fit


class Stream:
    """Wraps the standard output or error of a process, which may be a terminal, a file, closed, or None.

    Printing to it raises no error. A character that the encoding lacks is written as an escape sequence; after an error
    of the system, for example a full disk, nothing more is written.

    Parameters
    ----------
    stream : text stream or None

    Attributes
    ----------
    error : OSError, ValueError or None
        The first error: one of the system, or that the stream was closed.
    """

    closed = False

    def __init__(self, stream: Any):
        self._stream = None if stream is None or getattr(stream, "closed", False) else stream
        self.error: OSError | ValueError | None = None

    @property
    def encoding(self) -> str:
        """The encoding of the text that is written."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return self._stream is not None and hasattr(self._stream, "isatty") and self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor, or raise an OSError if there is none."""
        if self._stream is None:
            raise OSError("this stream has no descriptor")
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write the text, as far as it can be written, and return its length."""
        if self._stream is not None and self.error is None:
            try:
                try:
                    self._stream.write(text)
                except UnicodeEncodeError:
                    self._stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
            except (OSError, ValueError) as error:
                self.error = error
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        if self._stream is not None and self.error is None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self.error = error

    def discard(self) -> None:
        """Drop what could not be written. Otherwise Python would try again at its exit, and print an error."""
        null = os.open(os.devnull, os.O_WRONLY)
        with contextlib.suppress(OSError, ValueError):
            os.dup2(null, self.fileno())
        os.close(null)


class Terminal(Stream):
    """A stream whose lines are wrapped at the width of the terminal; a file or a pipe gets them as they are."""

    def __init__(self, stream: Any):
        super().__init__(stream)
        self._begun = ""  # a line whose end has not been written yet

    def write(self, text: str) -> int:
        """Write the lines that the text ends, or text that moves the cursor, as it is."""
        columns = width(self)
        if columns is None or "\r" in text:
            return self.data(text)
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            super().write("".join(f"{part}\n" for part in wrapped(line, columns)))
        return len(text)

    def data(self, text: str) -> int:
        """Write text that is for programs too, and so is never wrapped."""
        self._end()
        return super().write(text)

    def flush(self) -> None:
        """Write the line that has been begun, and flush the stream."""
        self._end()
        super().flush()

    def _end(self) -> None:
        begun, self._begun = self._begun, ""
        super().write(begun)


def show(line: str) -> None:
    """Print a line, wrapped in a terminal, and flush it."""
    print(line, file=Terminal(sys.stdout), flush=True)


def width(stream: Any) -> int | None:
    """Return how many columns a terminal has, by COLUMNS or else by itself; None if the stream is no terminal."""
    shown = Stream(stream)
    if not shown.isatty():
        return None
    wanted = os.environ.get("COLUMNS", "")
    columns = int(wanted) if wanted.isdecimal() else 0
    with contextlib.suppress(OSError, ValueError):
        columns = columns or os.get_terminal_size(shown.fileno()).columns
    return max(columns or USUAL, NARROWEST)
