"""The one exception for mistakes that a person can correct, and words for messages."""

from __future__ import annotations

import difflib
import errno
import os
import re
from collections.abc import Iterable

from safetune_utils.terminal import plain


class SafetuneError(Exception):
    """Wrong input, reported in one line that says what is wrong and how to correct it.

    The command line prints it without a traceback and exits with status 2; the notebooks show it as it is.
    What it repeats of a file or a name is made :func:`~safetune_utils.terminal.plain`, and holds no key.
    """

    def __init__(self, message: str) -> None:
        super().__init__(plain(message))

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it: IPython looks for this name."""
        return [f"{type(self).__name__}: {self}"]


def first_line(error: BaseException) -> str:
    """What another library's error says first: its first line with words, or else its type's name."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


_MENDS = {
    errno.ENOENT: "give a path that is there",
    errno.EEXIST: "a file has that name, so choose another place",
    errno.EACCES: "change its permissions, or choose another place",
    errno.EPERM: "change its permissions, or choose another place",
    errno.EROFS: "choose a place that can be written to",
    errno.ENOSPC: "make room on the disk, or choose another place",
    errno.EDQUOT: "make room within your quota, or choose another place",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f), or choose another place",
    errno.EISDIR: "it is a folder, so name a file in it",
    errno.ENOTDIR: "a part of the path is a file, so choose another place",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "its links lead in a circle, so give the file itself",
    errno.EMFILE: "close other programs, or raise the limit of open files",
}


def of_system(error: OSError) -> str:
    """What the operating system, or a library by its name, refused: the path, the reason and the mend, in one
    line.
    """
    if error.errno is None or error.strerror is None:
        return first_line(error)
    where = f"{error.filename}: " if error.filename else ""
    return (
        f"{where}{error.strerror}: {_MENDS.get(error.errno, 'see whether the path is right, and try again')}"
    )


# Whatever is to be written there.
_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
# How libraries in Rust, such as safetensors, name what the system refused.
_OS_ERROR = re.compile(r"\(os error (\d+)\)")


def unwritable(error: BaseException) -> str:
    """What a person is told of an error that says that a place cannot be written to: a full disk, a limit of
    a file's size, a file system that can only be read; empty for any other error.
    """
    if not isinstance(error, OSError) and (found := _OS_ERROR.search(str(error))):
        error = OSError(int(found[1]), os.strerror(int(found[1])))
    return of_system(error) if isinstance(error, OSError) and error.errno in _UNWRITABLE else ""


def closest(word: str, known: Iterable[str], *, at_least: float = 0.6) -> str | None:
    """The known word that was probably meant, or ``None`` where none is near.

    Args:
        at_least: how near, from 0 to 1, where the same word is 1.

    Source: difflib's similarity.
    """
    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=at_least)), None)


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str) -> str:
    """How to correct an unknown word: ``did you mean '…'?``, or where none is near ``otherwise`` and all
    known words.
    """
    names = list(known)
    near = closest(word, names)
    return f"did you mean '{near}'?" if near else f"{otherwise} {', '.join(names)}"
