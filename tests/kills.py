"""A command that is ended from outside while it works, and what it leaves: for tests and `make faults`."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

MARK = "SAFETUNE_KILLS"  # an environment variable by which all processes of a command are known
# KILL, TERM and HUP go to the command alone, INT to all processes of its terminal; TWICE is what `timeout`
# does when its time is over.
SIGNALS = {
    "KILL": signal.SIGKILL,
    "TERM": signal.SIGTERM,
    "INT": signal.SIGINT,
    "HUP": signal.SIGHUP,
    "TWICE": signal.SIGTERM,
}
_GONE_WITHIN = 5.0  # seconds
_LONGEST_RUN = 900.0  # seconds
_LONGEST_WAIT = 120.0  # seconds until the stage begins in which a command is to be ended


@dataclass
class Ending:
    """What was seen when a command was ended.

    Attributes:
        stage: what it was making: a stage of the store, or words.
        by: one of :data:`SIGNALS`.
        processes: how many there were.
        faults: what is wrong with how it ended.
    """

    stage: str
    by: str
    processes: int
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Done:
    """A command that came to its end: its status, and its lines on standard error and standard output."""

    status: int
    said: list[str]
    shown: str

    @property
    def line(self) -> str:
        """The one line that says what is wrong, without the program's name; empty where there is none, or
        something besides.
        """
        ours = [line for line in self.said if line.startswith("safetune: ")]
        clean = not any("Traceback" in line or "not foreseen" in line for line in self.said)
        return (
            ours[0].removeprefix("safetune: ") if clean and len(ours) == 1 and ours == self.said[-1:] else ""
        )


def command(*words: str) -> list[str]:
    """The words of a command of the program."""
    return [sys.executable, "-m", "safetune_utils", *words]


def done(words: Sequence[str], *, folder: Path, variables: Mapping[str, str], **more: object) -> Done:
    """Run a command to its end.

    Args:
        words: of the command.
        folder: where its output is kept.
        variables: of the environment, besides those of this process.
        **more: for ``subprocess.Popen``.
    """
    process, log = _begun(words, folder=folder, variables=variables, **more)
    try:
        status = process.wait(timeout=_LONGEST_RUN)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
    return Done(status, _lines(log), log.with_suffix(".out").read_text("utf-8", errors="replace"))


def ended(
    words: Sequence[str],
    *,
    by: str,
    moments: random.Random,
    at_start: bool,
    folder: Path,
    variables: Mapping[str, str],
    site: Path | None = None,
) -> Ending | None:
    """Begin a command, end it at a random moment, and see what is left; ``None`` where it came to its end
    before.

    Args:
        words: of the command.
        by: one of :data:`SIGNALS`.
        moments: decides the moment: of the first eight seconds, or some time after the first, second or third
            stage was begun.
        at_start: which of the two.
        folder: holds its store, its folder for temporary files and its output.
        variables: as for :func:`done`.
        site: the folder in which it builds a site.
    """
    begun = time.time()
    process, log = _begun(words, folder=folder, variables=variables)
    # What was killed outright before could not clean up behind itself.
    there = {path.name for path in (folder / "tmp").iterdir()}
    if at_start:
        wait, stages = moments.uniform(0.05, 8), 99
    elif "SAFETUNE_STORE" in variables:  # all is made, but for the site
        wait, stages = moments.uniform(0, 15), 1
    else:
        wait, stages = moments.choice([0, 0.05, 0.2, 0.5, 1, 2]) * moments.random(), moments.randint(1, 3)
    seen: dict[str, float] = {}
    end = time.monotonic() + (wait if at_start else _LONGEST_WAIT)
    while len(seen) < stages and time.monotonic() < end and process.poll() is None:
        seen |= _under_way(folder, begun, site)
        time.sleep(0.01)
    if not at_start:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=wait)
    seen |= (now := _under_way(folder, begun, site))
    if process.poll() == 0:
        return None
    if process.returncode is not None:
        return Ending("", by, 0, [f"ended by itself: {_lines(log)[-2:]}"])
    if now:
        stage = max(now, key=now.__getitem__).split("/")[0]
    else:
        stage = "between two stages" if seen else "before the first stage"
    found = Ending(stage, by, len(marked(folder)))
    if by == "INT":
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(SIGNALS[by])
    if by == "TWICE":
        process.send_signal(SIGNALS[by])
    clock = time.monotonic()
    while time.monotonic() - clock < _GONE_WITHIN and marked(folder):
        process.poll()
        time.sleep(0.05)
    if left := marked(folder):
        found.faults.append(f"{len(left)} processes after {_GONE_WITHIN:g} s: {[one.name() for one in left]}")
    for one in left:
        one.kill()
    status, said = process.wait(), _lines(log)
    if by != "KILL":
        found.faults += _faults_of_a_stop(status, said, by)
        # The cache of PyTorch is meant to stay; a kernel that takes two seconds to stop leaves Python's own
        # empty folder.
        found.faults += [
            f"{path.name} is left"
            for path in (folder / "tmp").iterdir()
            if path.name not in there and not path.name.startswith(("torchinductor", "pymp-"))
        ]
    return found


def _faults_of_a_stop(status: int, said: list[str], by: str) -> list[str]:
    number = SIGNALS[by]
    # Before the program's first line Python itself says what it likes.
    if status == -number and not any("safetune" in line for line in said):
        return []
    name = "Ctrl-C" if by == "INT" else number.name
    faults = [] if status == 128 + number else [f"status {status}"]
    if not said or not said[-1].startswith(f"safetune: stopped by {name}"):
        faults.append(f"said last: {said[-1:]}")
    return faults + [line for line in said if "Traceback" in line or "Error" in line][:1]


def _begun(
    words: Sequence[str], *, folder: Path, variables: Mapping[str, str], **more: object
) -> tuple[subprocess.Popen[bytes], Path]:
    """The process of a command, in a session of its own, and the file of its standard error."""
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    log = folder / f"{len(list(folder.glob('*.err'))):03}.err"
    environment = os.environ | {
        MARK: str(folder),
        "SAFETUNE_STORE": str(folder / "store"),
        "TMPDIR": str(folder / "tmp"),
        **variables,
    }
    with log.open("wb") as errors, log.with_suffix(".out").open("wb") as output:
        process = subprocess.Popen(
            words, env=environment, stdout=output, stderr=errors, stdin=subprocess.DEVNULL,
            start_new_session=True, **more,  # type: ignore[call-overload]
        )  # fmt: skip
    return process, log


def _lines(log: Path) -> list[str]:
    text = log.read_text("utf-8", errors="replace").replace("\r", "\n")
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def _under_way(folder: Path, begun: float, site: Path | None) -> dict[str, float]:
    """What a command that was begun then is making, with the time since when."""
    found = {}
    for path in (folder / "store").glob("*/*.partial"):
        try:
            if (time_of := path.stat().st_mtime) >= begun - 1:
                found[f"{path.parent.name}/{path.name}"] = time_of
        except FileNotFoundError:  # finished meanwhile
            continue
    with contextlib.suppress(FileNotFoundError):
        if site and not found and (site / "source").stat().st_mtime >= begun - 1:
            found["the site"] = begun
    return found


def marked(folder: Path) -> list[psutil.Process]:
    """The processes that were begun for a command and run."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == str(folder):
                found.append(process)
        except psutil.Error:  # of another user, or gone
            continue
    return found
