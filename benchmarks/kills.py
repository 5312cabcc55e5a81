"""Count the processes that are left when a command is ended from outside.

    python benchmarks/kills.py --kills 20
    python benchmarks/kills.py --kills 5 --work together book --when start

The works: ``pool`` is a notebook that has two pieces of work done side by side, which only wait; ``run`` a
smoke run of chapter 1 whose kernel trains adapters side by side, ``together`` an adapter that two processes
train, ``book`` the smoke book with its pool, its chapters and their kernels. Each is ended at a random
moment: of its first twelve seconds (``--when start``), or of six once the pieces are under way. KILL, TERM
and HUP go to the command alone, INT to all processes of its terminal, and TIME is what ``timeout`` does when
the time is over.

A row says how many processes there were (median and most), how many of all were still there five seconds
after the signal and what memory they held, the longest time until all were gone, the exit statuses, and in
how many of the endings a temporary file was left or a traceback was printed. A kill takes ten to thirty
seconds, most of them until the work is under way.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil

POOL = 5  # processes of the smallest pool: the command, a server process, two subprocesses, Python's tracker
PIECES = """import time
from safetune_utils.machine.processes import Piece, side_by_side
side_by_side([Piece(time.sleep, (600.0,)) for _ in "ab"], bytes_each=1, loads_models=False)
"""
MARK = "SAFETUNE_KILLS"
SECONDS = 5.0
SEEDS = [0, 1, 2, 3, 4, 5, 6, 7]
# The command, and how many adapters are trained at the same time.
WORKS = {
    "pool": (["run", "{}/pool.ipynb", "--output", "{}/out.ipynb"], 0),
    "run": (["run", "01", "--preset", "smoke", "-p", f"seeds={SEEDS}", "--output", "{}/01.ipynb"], 2),
    "together": (["finetune", "--preset", "pocket", "--amount", "100", "--output", "{}/adapter"], 1),
    "book": (["book", "--preset", "smoke", "--output", "{}/site"], 2),
}


@dataclass(frozen=True)
class Ending:
    """What was seen when a command was ended: processes before and five seconds after, the memory of these,
    the seconds until all were gone (or five), the exit status, temporary files that are left, tracebacks.
    """

    before: int
    left: int
    left_bytes: int
    seconds: float
    status: int | None
    files: list[str]
    tracebacks: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, help="of each work by each signal")
    parser.add_argument("--work", nargs="+", choices=WORKS, default=["run"])
    parser.add_argument("--when", choices=["start", "training"], default="training")
    parser.add_argument("--signals", nargs="+", default=["KILL", "TERM", "TIME", "INT", "HUP"])
    given = parser.parse_args()
    for one in (signal.SIGINT, signal.SIGHUP):  # they are ignored in the background of a shell, or by nohup
        signal.signal(one, signal.SIG_DFL)
    print("work      signal  processes  left (GB)    seconds  exit statuses  files left  tracebacks")
    for work in given.work:
        for by in given.signals:
            moments = random.Random(f"{work} {by}")
            ends = [ended(work, by, moments, at_start=given.when == "start") for _ in range(given.kills)]
            statuses = " ".join(f"{n}x{status}" for status, n in Counter(e.status for e in ends).items())
            counts = [end.before for end in ends]
            print(
                f"{work:9} {by:7} {statistics.median(counts):4.0f} ({max(counts):2}) "
                f"{sum(end.left for end in ends):5} ({sum(end.left_bytes for end in ends) / 1e9:4.1f}) "
                f"{max(end.seconds for end in ends):10.1f}  {statuses:13} "
                f"{sum(bool(end.files) for end in ends):11} {sum(end.tracebacks > 0 for end in ends):11}",
                flush=True,
            )


def ended(work: str, by: str, moments: random.Random, *, at_start: bool) -> Ending:
    """Begin a command, end it at a random moment, and see what is left."""
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        folder = Path(name)
        (folder / "tmp").mkdir()
        write_pool(folder / "pool.ipynb")
        words, n_trained = WORKS[work]
        command = [sys.executable, "-m", "safetune_utils", *(word.replace("{}", name) for word in words)]
        environment = os.environ | {
            MARK: name,
            "SAFETUNE_STORE": str(folder / "store"),
            "SAFETUNE_AT_ONCE": "2",
            "SAFETUNE_PROCESSES": "2" if work == "together" else "1",
            "TMPDIR": str(folder / "tmp"),
        }
        with (folder / "errors").open("w") as errors:
            process = subprocess.Popen(
                ["timeout", "1h", *command] if by == "TIME" else command,
                env=environment, stdout=errors, stderr=errors, start_new_session=True,
            )  # fmt: skip
        if not at_start:
            adapters = folder / "store" / "adapters"
            while len(marked(name)) < POOL or len(list(adapters.glob("*.partial"))) < n_trained:
                time.sleep(0.1)
                if process.poll() is not None:
                    raise SystemExit((folder / "errors").read_text()[-2000:])
        time.sleep(moments.uniform(0.2, 12) if at_start else moments.uniform(0, 6))
        if process.poll() is not None:
            raise SystemExit(f"{work} ended by itself: {(folder / 'errors').read_text()[-2000:]}")
        before = len(marked(name)) - (by == "TIME")
        if by == "TIME":
            process.send_signal(signal.SIGALRM)  # so its own clock tells it
        elif by == "INT":
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(getattr(signal, f"SIG{by}"))
        clock = time.monotonic()
        while (seconds := time.monotonic() - clock) < SECONDS and marked(name):
            process.poll()
            time.sleep(0.05)
        left = marked(name)
        left_bytes = sum(one.memory_info().rss for one in left)
        for one in left:
            one.kill()
        status = process.wait()
        psutil.wait_procs(left, timeout=10)
        # The cache of PyTorch is meant to stay.
        files = [path.name for path in (folder / "tmp").iterdir() if "torchinductor" not in path.name]
        tracebacks = (folder / "errors").read_text().count("Traceback")
        return Ending(before, len(left), left_bytes, seconds, status, files, tracebacks)


def write_pool(path: Path) -> None:
    """The notebook of the work ``pool``."""
    cells = [nbformat.v4.new_code_cell(source) for source in ("mode: str = 'replay'  # mode", PIECES)]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    about = {"safetune": {"schema": "drafting"}, "kernelspec": kernel}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=about), path)


def marked(name: str) -> list[psutil.Process]:
    """The processes that were begun for this command and run."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == name:
                found.append(process)
        except psutil.Error:  # of another user, or gone
            continue
    return found


if __name__ == "__main__":
    main()
