"""Put the table of wrong input (``tests/bad_input.py``) to the command line, and count what comes of it; then
time the slowest refusals, and what is asked for most, as real commands.

    python benchmarks/refusals.py             # both
    python benchmarks/refusals.py --count     # no times, and with the libraries imported beforehand

With ``PYTHONPATH`` set to another checkout, the same table is put to its package. Each command runs in a
process of its own that is forked from this one, and is ended after 20 seconds. It needs Linux or macOS.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from bad_input import ANSWERED, CASES, SLOW, Case, Outcome, lay_out, run

_MOST_SECONDS = 20


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--count", action="store_true", help="only count, and time nothing")
    only_count = asked.parse_args().count
    if only_count:  # so that a version that imports them for each refusal is counted in minutes
        for name in SLOW:
            importlib.import_module(name)
    with tempfile.TemporaryDirectory() as folder:
        # What a command that is wrongly accepted would write goes here too.
        os.environ["SAFETUNE_STORE"] = f"{folder}/store"
        there = Path(folder) / "there"
        there.mkdir()
        lay_out(there)
        os.chdir(there)
        outcomes = [_apart(case) for case in CASES]
        _count(outcomes)
        if not only_count:
            _time(outcomes)


def _apart(case: Case) -> Outcome:
    """What comes of a command in a process of its own."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)

    def work() -> None:
        os.setsid()  # away from the terminal, which stops what is not in front
        send.send(run(case, most_seconds=_MOST_SECONDS))

    process = context.Process(target=work)
    process.start()
    try:
        return receive.recv() if receive.poll(_MOST_SECONDS + 10) else Outcome(None, "", _MOST_SECONDS, [])
    finally:
        process.join(2)
        with contextlib.suppress(OSError):  # it, and all that it started
            os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()


def _count(outcomes: list[Outcome]) -> None:
    kinds = ("refused", "other line", "unforeseen", "accepted", "too long")
    found = Counter(outcome.kind for outcome in outcomes)
    told = sum(_is_told(case, outcome) for case, outcome in zip(CASES, outcomes, strict=True))
    slow = Counter(name for outcome in outcomes if outcome.kind == "refused" for name in outcome.imported)
    print(f"{len(CASES)} wrong commands: " + ", ".join(f"{found[kind]} {kind}" for kind in kinds))
    print(f"{told} of those refused say what the table expects")
    print(
        "imported for a refusal: "
        + (", ".join(f"{n} x {name}" for name, n in slow.items()) or "nothing slow")
    )
    for case, outcome in zip(CASES, outcomes, strict=True):
        if outcome.kind != "refused" or not _is_told(case, outcome):
            print(f"  {outcome.kind}: {case.name}\n      {outcome.said.strip()[-300:]!r}")


def _is_told(case: Case, outcome: Outcome) -> bool:
    return outcome.kind == "refused" and case.needed in outcome.said


def _time(outcomes: list[Outcome]) -> None:
    """Wall seconds of real commands: the five slowest refusals of each group, and what is asked for most."""
    in_order = sorted(zip(outcomes, CASES, strict=True), key=lambda pair: -pair[0].seconds)
    slowest = [case for outcome, case in in_order if outcome.kind == "refused"][:12]
    rows = sorted(((_seconds(case.words, case.environment), case.name) for case in slowest), reverse=True)
    print("\nthe slowest refusals, in seconds of wall time, each the best of two:")
    for seconds, name in rows[:5]:
        print(f"  {seconds:.2f}  {name}")
    print("what is asked for most:")
    for words in ANSWERED:
        print(f"  {_seconds(words, {}):.2f}  {' '.join(words)}")


def _seconds(words: list[str], variables: Mapping[str, str]) -> float:
    command = [sys.executable, "-m", "safetune_utils", *words]
    environment = os.environ | variables
    taken = []
    for _ in range(2):
        clock = time.perf_counter()
        subprocess.run(command, env=environment, capture_output=True)
        taken.append(time.perf_counter() - clock)
    return min(taken)


if __name__ == "__main__":
    main()
