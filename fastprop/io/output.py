"""The one place where the package writes files: readers find the old file or the new one, never a part of it.

The content is written to a temporary file in the same directory and synchronised to the disk; then it replaces the old
file in one step. A pipe, a device and a descriptor such as /dev/stdout have no old content and are written directly.
"""

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fastprop import _validation
from fastprop._util.lazy import LazyModule

if TYPE_CHECKING:
    from pathlib import Path

pathlib = LazyModule("pathlib")

STDOUT = "/dev/stdout"  # the standard output on every system: on Windows no file has this name
LEFTOVERS = ".fastprop-*.tmp"  # the temporary files that a killed process leaves behind


def check(path, *, streams: bool = False) -> None:
    """Refuse a path that cannot be written, before the work whose result it is for. Nothing is changed.

    Parameters
    ----------
    path : str or os.PathLike
    streams : bool, default False
        Whether a pipe, a device or a descriptor is allowed.

    Raises
    ------
    TypeError, ValueError, OSError
        With the path in the message.
    """
    descriptor = _descriptor(path, streams)
    if descriptor is not None:
        with _naming(path):
            os.fstat(descriptor)
        return
    target, status = _target(path, streams)
    if status is not None and _validation.is_stream(status):
        if not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), target)
        return
    if _is_mounted(target):
        name = os.fsdecode(path)
        raise OSError(f"{name} is mounted by itself, so it cannot be replaced in one step; mount its directory instead")
    with _naming(path, "its directory must take a new file, which then replaces the old one"):
        temporary = _temporary(target)
        try:
            os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        finally:
            _remove(temporary)


def write(path, *parts, streams: bool = False) -> None:
    """Write a file whole or not at all.

    Parameters
    ----------
    path : str or os.PathLike
        A link is followed, and stays a link. The new file has the permissions of the old one, if there is one.
    *parts : str or bytes-like
        The content of the file, one part after the other; text is written as UTF-8.
    streams : bool, default False
        Whether a pipe, a device or a descriptor is allowed.

    Raises
    ------
    TypeError, ValueError, OSError
        With the path in the message. The old file is unchanged then.
    """
    data = [part.encode("utf-8", "backslashreplace") if isinstance(part, str) else part for part in parts]
    descriptor = _descriptor(path, streams)
    if descriptor is not None:
        with _naming(path):
            _write_stream(os.dup(descriptor), data)
        return
    target, status = _target(path, streams)
    with _naming(path):
        if status is not None and _validation.is_stream(status):
            _write_stream(target, data)
        else:
            _replace(target, status, data)


def same(one, other) -> bool:
    """Return whether two paths lead to one file, which need not exist yet."""
    if os.path.exists(one) and os.path.exists(other):
        return os.path.samefile(one, other)
    return os.path.normcase(os.path.realpath(one)) == os.path.normcase(os.path.realpath(other))


def _descriptor(path, streams: bool) -> int | None:
    """Return the descriptor that a path such as /dev/stdout names, or None. If it is a file, that is not replaced."""
    name = _validation.path(path)
    head, _, last = name.rpartition("/")
    if name in (STDOUT, "/dev/stderr"):
        number = 1 if name == STDOUT else 2
    elif head in ("/dev/fd", "/proc/self/fd") and last.isdecimal():
        number = int(last)
    else:
        return None
    if not streams:
        raise _validation.no_file(name)
    return number


def _target(path, streams: bool) -> tuple[str, os.stat_result | None]:
    """Return the file that a path leads to, with all links followed, and its status if it exists."""
    name = _validation.path(path)
    if not os.path.basename(name):
        raise IsADirectoryError(f"got {name!r}, which names no file; add the name of one")
    target = os.path.realpath(name)
    try:
        status = os.stat(name)
    except FileNotFoundError:
        if not os.path.isdir(os.path.dirname(target)):
            raise FileNotFoundError(f"{name}: its directory does not exist; make it first, or mend the path") from None
        return target, None
    if streams and _validation.is_stream(status):
        return name, status
    _validation.regular_file(name, status)
    with _naming(path):  # a file that its user made read-only is not replaced
        os.close(os.open(target, os.O_WRONLY))
    return target, status


def _is_mounted(target: str) -> bool:
    """Return whether a file is a mount point itself, as in containers: it can be written, but not replaced."""
    with contextlib.suppress(OSError), open("/proc/self/mountinfo", errors="surrogateescape") as mounts:
        return any(line.split(" ")[4] == target.replace(" ", "\\040") for line in mounts)
    return False


@contextlib.contextmanager
def _naming(path, advice: str = "") -> Iterator[None]:
    """A context in which errors of the system name the path that the user gave, not the temporary file."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        reason = f"{error.strerror}; {advice}" if advice else error.strerror
        raise OSError(error.errno, reason, os.fsdecode(path)) from error


def _temporary(target: str) -> str:
    return os.path.join(os.path.dirname(target), LEFTOVERS.replace("*", os.urandom(8).hex()))


def _remove(temporary: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(temporary)


def _write_stream(target, data: list) -> None:
    if sys.stdout is not None and not sys.stdout.closed:
        sys.stdout.flush()  # so that what was printed before stays before the content
    with open(target, "wb") as file:
        file.writelines(data)


def _replace(target: str, status: os.stat_result | None, data: list) -> None:
    temporary = _temporary(target)
    try:
        with open(temporary, "xb") as file:
            file.writelines(data)
            file.flush()
            os.fsync(file.fileno())
        if status is not None:
            if hasattr(os, "chown"):
                with contextlib.suppress(OSError):  # only root may give a file to another user
                    os.chown(temporary, status.st_uid, status.st_gid)
            os.chmod(temporary, stat.S_IMODE(status.st_mode))
        os.replace(temporary, target)
    except BaseException:
        _remove(temporary)
        raise
    # The rename is on disk when the directory is. Windows and some network disks cannot synchronise a directory.
    with contextlib.suppress(OSError):
        directory = os.open(os.path.dirname(target), os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def leftovers(directory) -> "list[Path]":
    """Return the temporary files that killed processes left in a directory."""
    return list(pathlib.Path(directory).glob(LEFTOVERS))
