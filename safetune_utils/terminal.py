"""What a person reads in a terminal: all that the package prints goes through :func:`say`.

A terminal obeys signs in what it is shown: they can colour, erase or replace what stands there, set the
clipboard, or turn the direction of writing round. File names, prompts and answers are text from outside.
"""

from __future__ import annotations

import os
import sys

from safetune_utils.secrets import hidden

# How much is told of work under way: `quiet` shows no progress, `verbose` what the libraries say, too.
LEVELS = ("quiet", "normal", "verbose")


def level() -> str:
    """How much is told: ``SAFETUNE_LOG``, one of :data:`LEVELS`; ``normal`` where it says nothing known."""
    said = os.environ.get("SAFETUNE_LOG", "")
    return said if said in LEVELS else "normal"


def shows(progress: str) -> bool:
    """Whether a progress bar with this caption is shown; one without a caption never is."""
    return bool(progress) and level() != "quiet"


def disarmed(text: str) -> str:
    """A text without signs that steer a terminal, and without keys; its line ends stay.

    A space stands for each other blank, and a mark for each sign that cannot be printed.
    """
    return "\n".join(map(_line, hidden(text).split("\n")))


def plain(text: str) -> str:
    """A text :func:`disarmed`, on one line."""
    return _line(hidden(text))


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)


def say(text: object, *, error: bool = False) -> None:
    """Print a text, :func:`disarmed`; ``error`` prints it on standard error."""
    print(disarmed(str(text)), file=sys.stderr if error else sys.stdout, flush=True)
