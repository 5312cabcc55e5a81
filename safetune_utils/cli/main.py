"""The program: every group of commands, and how a mistake is told."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
import os
import re
import signal
import sys
import tempfile
import traceback
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer

from safetune_utils.cli import book, data, models, people, run, score, store
from safetune_utils.cli.common import AsJson, app
from safetune_utils.errors import SafetuneError, did_you_mean, first_line, of_system
from safetune_utils.machine import distributed, stopping
from safetune_utils.machine.memory import is_out_of_memory
from safetune_utils.secrets import hidden
from safetune_utils.terminal import LEVELS, level, plain, say
from safetune_utils.training import curves

__all__ = ["app", "book", "data", "main", "models", "people", "run", "score", "store"]


# Options of the program itself, and of no command.
_OF_THE_PROGRAM = ("--quiet", "-q", "--verbose", "-v", "--version", "--tensorboard")


def _show_version(asked: bool) -> None:
    if asked:
        say(importlib.metadata.version("safetune-utils"))
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="print the version and stop"),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="no progress, only results and faults")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="what the libraries say, too; SAFETUNE_LOG sets either")
    ] = False,
    tensorboard: Annotated[
        Path | None, typer.Option(help="a folder for the losses of what is trained, for TensorBoard to show")
    ] = None,
) -> None:
    """What all commands share."""
    said = os.environ.get("SAFETUNE_LOG")
    if said and said not in LEVELS:
        raise SafetuneError(f"SAFETUNE_LOG is {said!r}: set it to {', '.join(LEVELS)}")
    if quiet and verbose:
        raise SafetuneError("--quiet and --verbose do not go together: leave one out")
    if quiet or verbose:
        os.environ["SAFETUNE_LOG"] = "quiet" if quiet else "verbose"
    if tensorboard:
        os.environ["SAFETUNE_TENSORBOARD"] = str(tensorboard.expanduser().absolute())
    curves.check()
    if level() != "verbose":  # here, and in each process that we start
        warnings.simplefilter("ignore", FutureWarning)
        os.environ.setdefault("PYTHONWARNINGS", "ignore::FutureWarning")


@app.command()
def doctor(
    use: Annotated[
        str | None, typer.Argument(help="read, pocket, gpu, cluster or teach; default: all of them")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say for each use of the book what this machine has and what is missing, with the command that mends it.

    Exit status 1 where the named use lacks something; without a name, where running the book here does.
    """
    from safetune_utils import doctor as checks

    if use is not None and use not in checks.USES:
        mend = did_you_mean(use, checks.USES, otherwise="choose from")
        raise SafetuneError(f"there is no use '{use}': {mend}")
    findings = checks.findings([use] if use else list(checks.USES))
    if as_json:
        say(json.dumps(findings, indent=1))
    else:
        for name in dict.fromkeys(finding["use"] for finding in findings):
            found = [finding for finding in findings if finding["use"] == name]
            lacks = sum(not finding["ok"] for finding in found)
            say(f"{name} ({checks.USES[name]}): {f'{lacks} missing' if lacks else 'all is there'}")
            for finding in found:
                mark, mend = ("ok", "") if finding["ok"] else ("NO", f"\n       mend: {finding['mend']}")
                say(f"  {mark}  {finding['what']}: {finding['found']}{mend}")
    if not all(finding["ok"] for finding in findings if finding["use"] == (use or "pocket")):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line; whatever goes wrong is one line on standard error and exit status 2. When it is
    stopped, the status is 128 and the signal's number.
    """
    stopping.stop_on_signals()
    for stream in (sys.stdout, sys.stderr):  # a terminal without these letters shows their numbers
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    status: object = 2
    try:
        if distributed.world_size() > 1:  # its parent is the launcher
            stopping.end_with_parent()
        check_values(sys.argv[1:])
        sys.argv[1:] = _joined_pairs(sys.argv[1:])
        status = app(standalone_mode=False, prog_name="safetune")
    except (Exception, KeyboardInterrupt) as error:
        # NoArgsIsHelpError has printed the help.
        if not stopping.asked() and type(error).__name__ != "NoArgsIsHelpError":
            say(plain(f"safetune: {_told(error)}"), error=True)
    if by := stopping.asked():
        name = "Ctrl-C" if by == signal.SIGINT else by.name
        kept = "what is in the run store is kept, and the same command goes on from there"
        say(f"safetune: stopped by {name}: {kept}", error=True)
        os._exit(128 + by)  # what is left does not hold up the end
    stopping.stop_no_longer()
    sys.exit(status if isinstance(status, int) else 0)


def _told(error: BaseException) -> str:
    """What a person is told of an error."""
    if isinstance(error, SafetuneError):
        return str(error)
    if isinstance(error, typer.TyperException):
        if (option := getattr(error, "option_name", "")) in _OF_THE_PROGRAM:
            return f"{option} stands before the command: `safetune {option} ...`"
        command = asked.command_path if (asked := getattr(error, "ctx", None)) else "safetune"
        return f"{error.format_message().rstrip('.')}: see `{command} --help`"
    if is_out_of_memory(error):
        return (
            f"there is not enough memory ({first_line(error)}): close other programs, or raise the limit "
            "(ulimit -v, or that of the job)"
        )
    if isinstance(error, OSError):
        return of_system(error)
    if isinstance(error, RuntimeError) and "home directory" in str(error):
        return "a path begins with ~ and a name that has no home folder here: write the whole path"
    if isinstance(error, ValueError) and "embedded null" in str(error):
        return "a path holds a character of number 0: correct its name"
    report = "what it says"
    with contextlib.suppress(OSError):
        file, report = tempfile.mkstemp(prefix="safetune-", suffix=".txt")  # readable by this user alone
        with os.fdopen(file, "w", encoding="utf-8", errors="replace") as written:
            written.write(hidden("".join(traceback.format_exception(error))))
    given = " ".join(word if len(word) <= 60 else f"{word[:30]}…{word[-29:]}" for word in sys.argv[1:])
    return (
        f"{given}: {type(error).__name__}: {first_line(error)}: this was not foreseen; see whether what was "
        f"given is right, and report it with {report}"
    )


def check_values(arguments: list[str]) -> None:
    """Check that no option is given an empty text, as by a variable of a shell that is not set.

    Raises:
        SafetuneError: one is.
    """
    for option, value in pairwise(arguments):
        if value == "" and re.fullmatch(r"--[a-z-]+", option):
            raise SafetuneError(f"{option} is given an empty text: give it a value, or leave it out")


def _joined_pairs(arguments: list[str]) -> list[str]:
    """Turn papermill's ``-p NAME VALUE`` into the one word ``NAME=VALUE`` that a repeated option can take."""
    joined, rest = [], list(arguments)
    while rest:
        word = rest.pop(0)
        joined.append(word)
        if word in ("-p", "--parameter") and len(rest) > 1 and "=" not in rest[0]:
            if rest[1].startswith("--"):
                raise SafetuneError(f"parameter '{rest[0]}' has no value: write -p NAME VALUE")
            joined.append(f"{rest.pop(0)}={rest.pop(0)}")
    return joined
