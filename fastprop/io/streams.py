"""What is printed for people: it reaches a stream of any encoding, and is dropped where there is none."""

import contextlib
import os
import sys
from typing import Any


class Stream:
    """The standard output or error as a process has it: a terminal, a file, closed, or None.

    Printing to it does not end what is being done. A character that its encoding lacks is written as an escape; after
    an error of the system, as of a full disk, nothing more is written.

    Parameters
    ----------
    stream : text stream or None

    Attributes
    ----------
    error : OSError, ValueError or None
        The first one: of the system, or that the stream was closed.
    """

    closed = False

    def __init__(self, stream: Any):
        self._stream = None if stream is None or getattr(stream, "closed", False) else stream
        self.error: OSError | ValueError | None = None

    @property
    def encoding(self) -> str:
        """Of the text that is written."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether a person watches."""
        return self._stream is not None and hasattr(self._stream, "isatty") and self._stream.isatty()

    def fileno(self) -> int:
        """The descriptor, where there is one."""
        if self._stream is None:
            raise OSError("this stream has no descriptor")
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Writes what can be written."""
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
        """Sends it on."""
        if self._stream is not None and self.error is None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self.error = error

    def discard(self) -> None:
        """Drops what could not be written, which Python would try again, and complain of, at its exit."""
        null = os.open(os.devnull, os.O_WRONLY)
        with contextlib.suppress(OSError, ValueError):
            os.dup2(null, self.fileno())
        os.close(null)


def show(line: str) -> None:
    """Prints a line at once."""
    print(line, file=Stream(sys.stdout), flush=True)
