"""Disturb runs of the smoke preset in every way that we know, and see what comes: each has to end in the
bytes of an undisturbed run, or in one line that is true.

    make faults                                          # all of it
    python benchmarks/faults.py --only kills --seed 7    # a part, with the moments of another seed

It tries kills of commands at random moments, several of one run; a full disk, a limit of a file's size, a
store that can only be read, a clock set back and ahead, a limit of memory; damage to every kind of stored
file; several processes on one store and on one output; servers that hang, answer half or say 429 for ever.
A kill is of a random moment, so the seed gives the same choices and about the same moments. Trials are named
as they end, and a trial's folder is kept where something was wrong.

What was tried and what came is written to ``data/results/faults.json``, kind by kind, from which the page
"What it survives" is made. Exit status 1 where anything was wrong. It needs Linux; what needs root or a
program that is not there is listed as not tried.
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import nbformat
from damage import HARMS, content_of, damaged_one_by_one
from kills import SIGNALS, Done, Ending, command, done, ended
from local_server import completion
from notebook_cells import write_notebook

from safetune_utils.book import notebooks
from safetune_utils.book.generated.survives import CAME, KINDS
from safetune_utils.data import register
from safetune_utils.machine import surroundings
from safetune_utils.machine.files import write_json
from safetune_utils.places import cache_folder
from safetune_utils.study.design import state

ROOT = Path(__file__).resolve().parents[1]
SAME, LINE, BOTH = CAME
STUDY = """import hashlib
from safetune_utils.study.design import state
from safetune_utils.study.run import run
study = state(globals(), prompt_sets=["malicious", "ordinary"], side_effects=["reference-losses"])
table = run(study)
hashlib.sha256(table.to_json().encode()).hexdigest()
"""
PARAMETERS = """preset: str = "smoke"  # preset
instruments: list[str] = ["refusal-rules", "harmfulness"]  # instruments
mixing: dict = {"choice": "hardest", "n_candidates": 8}  # mixing
safety_amounts: list[int] = [3]  # one adapter, for a run of it is repeated some two hundred times
seeds: list[int] = [0]  # seeds
"""
# A page of a book has a figure.
DRAWING = """import pandas as pd
from safetune_utils.book import figures
losses = pd.DataFrame({"n_safety": 0, "seed": 0, "step": [1, 2], "validation_loss": [2.0, 1.0]})
figures.loss_curves(losses, name="made_up", caption="Made up, so that the page has a figure.")
"""
PAGES = {
    "welcome": """# A small book

Two chapters.

```{raw} html
:file: _generated/made_up.html
```
""",
    # What each chapter links to.
    "reading": "# How to read\n",
    "statistics": "# Statistics\n",
    "instruments": "# Instruments\n",
    "glossary": "# Words\n\n```{glossary}\nseed\n  A number.\n```\n",
}
MISSING: list[tuple[str, str]] = []  # the kind of what was not tried, and what and why


@dataclass
class Trial:
    """A disturbance, and what came.

    Attributes:
        kind, what: of :data:`KINDS`, and in words.
        came: :data:`SAME`, :data:`LINE` or :data:`BOTH`.
        lines: that were said.
        endings: for kills, each of them.
        faults: what is wrong; empty where nothing is.
        begun, ended: by a clock in seconds.
    """

    kind: str
    what: str
    came: str = SAME
    lines: list[str] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    begun: float = 0.0
    ended: float = 0.0


@dataclass(frozen=True)
class Work:
    """A command that makes stages: its words, in which ``{}`` is the trial's folder; the environment; what
    to compare besides the store.
    """

    words: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    result: Callable[[Path], Any] = lambda folder: None
    site: bool = False

    def command(self, folder: Path) -> list[str]:
        return command(*(word.replace("{}", str(folder)) for word in self.words))

    def environment(self, folder: Path) -> dict[str, str]:
        return {name: value.replace("{}", str(folder)) for name, value in self.variables.items()}

    def whole(self, folder: Path, **more: Any) -> Done:
        """Run it to its end."""
        return done(self.command(folder), folder=folder, variables=self.environment(folder), **more)

    def made(self, folder: Path) -> dict[str, Any]:
        """All that it made."""
        return content_of(folder / "store") | {"result": self.result(folder)}


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--only", nargs="+", choices=list(KINDS), default=list(KINDS))
    asked.add_argument("--at-once", type=int, default=2, help="trials at the same time")
    asked.add_argument("--output", type=Path, default=ROOT / "data" / "results" / "faults.json")
    given = asked.parse_args()
    for one in (signal.SIGINT, signal.SIGHUP):  # they are ignored in the background of a shell, or by nohup
        signal.signal(one, signal.SIG_DFL)
    os.environ |= {"SAFETUNE_AT_ONCE": "1", "SAFETUNE_PROCESSES": "1"}
    clock = time.monotonic()
    base = Path(tempfile.mkdtemp(prefix="faults-", dir="/tmp"))  # short: the path of a socket is
    print(f"seed {given.seed}, {base}", flush=True)
    works = lay_out(base)
    # Those of servers wait most of the time.
    with ThreadPoolExecutor(given.at_once) as pool, ThreadPoolExecutor(6) as waiting:
        planned_of_servers = servers(base) if "servers" in given.only else []
        of_servers = [waiting.submit(_run, one, base) for one in planned_of_servers]
        if "kills" not in given.only:
            of_alone = {"disk", "clock", "memory", "processes"} & set(given.only)
            works = {name: work for name, work in works.items() if name == "alone" and of_alone}
        references = dict(zip(works, pool.map(partial(_reference, base), works.items()), strict=True))
        if "site" in works:  # made from the book's stages
            references["site"] = _reference(base, ("the site", works["site"]))

        def alone() -> tuple[Work, dict[str, Any]]:
            return works["alone"], references["alone"]

        kinds: dict[str, Callable[[], _Trials]] = {
            "kills": lambda: kills(works, references, given.seed),
            "disk": lambda: disk(*alone()),
            "clock": lambda: clocks(*alone()),
            "memory": lambda: memory(*alone()),
            "damage": lambda: damage(base),
            "processes": lambda: processes(*alone()),
        }
        planned = [one for kind in kinds if kind in given.only for one in kinds[kind]()]
        waited = [*[pool.submit(_run, one, base) for one in planned], *of_servers]
        left = Counter(trial.kind for trial, _ in [*planned, *planned_of_servers])
        trials: list[Trial] = []
        for call in as_completed(waited):
            trials.append(call.result())
            left[kind := trials[-1].kind] -= 1
            if not left[kind]:  # so that a run that is stopped has told of the kinds that it finished
                _write(given.output, kind, [one for one in trials if one.kind == kind], seed=given.seed)
    faults = [f"{one.kind}: {one.what}: {fault}" for one in trials for fault in one.faults]
    print(f"{(time.monotonic() - clock) / 60:.0f} minutes; wrong: {json.dumps(faults, indent=1)}")
    if not faults:
        shutil.rmtree(base)
    return 1 if faults else 0


def lay_out(base: Path) -> dict[str, Work]:
    """The notebooks and the small book that are run, and the works."""
    write_notebook(base / "study.ipynb", STUDY, parameters=PARAMETERS)
    small = base / "small"
    (small / "notebooks").mkdir(parents=True)
    (small / "book").mkdir()
    (small / "data").symlink_to(ROOT / "data")
    for name in ("_static", "references.bib"):
        (small / "book" / name).symlink_to(ROOT / "book" / name)
    for name in ("_config.yml", "CHANGELOG.md", "CITATION.cff"):
        shutil.copy(ROOT / name, small)
    (small / "_toc.yml").write_text(
        "format: jb-book\nroot: book/welcome\nchapters:\n  - glob: notebooks/*\n  - glob: book/*\n"
    )
    for name, text in PAGES.items():
        (small / "book" / f"{name}.md").write_text(text)
    for number, seeds in (("91", "[0, 1]"), ("92", "[1, 2]")):  # numbers that no chapter of the book has
        path = small / "notebooks" / f"{number}_study.ipynb"
        write_notebook(path, STUDY, parameters=PARAMETERS.replace("[0]", seeds))
        notebook = nbformat.read(path, as_version=4)
        notebook.cells.insert(0, nbformat.v4.new_markdown_cell(f"# Chapter {number}"))
        notebook.cells.insert(-1, nbformat.v4.new_code_cell(DRAWING))
        nbformat.write(notebook, path)
    run = ("run", f"{base}/study.ipynb", "--output", "{}/out.ipynb")
    book = {"SAFETUNE_DATA": f"{small}/data", "SAFETUNE_AT_ONCE": "2"}
    adapters = ("finetune", "--preset", "smoke", "--amount", "3", "--output", "{}/adapter")
    return {
        "alone": Work(run, result=_shown),
        "side by side": Work((*run, "-p", "seeds", "[0, 1]"), {"SAFETUNE_AT_ONCE": "2"}, result=_shown),
        "together": Work(adapters, {"SAFETUNE_PROCESSES": "2"}, result=_adapter),
        "book": Work(("book", "--output", "{}/site"), book, result=_shown_in_book, site=True),
        "site": Work(
            ("book", "--output", "{}/site"),
            book | {"SAFETUNE_STORE": f"{base}/reference-book/store"},
            result=_pages,
            site=True,
        ),
    }


def _reference(base: Path, named: tuple[str, Work]) -> dict[str, Any]:
    """What a work makes undisturbed."""
    name, work = named
    if name == "site":
        return {}
    folder = base / f"reference-{name.replace(' ', '-')}"
    answer = work.whole(folder)
    if answer.status != 0:
        raise SystemExit(f"{name} failed undisturbed: {answer.said[-3:]}")
    print(f"{name}: made undisturbed", flush=True)
    return work.made(folder)


def _shown(folder: Path) -> str:
    """What the last cell of an executed notebook shows: a hash of all responses with their scores."""
    return _last(folder / "out.ipynb")


def _last(path: Path) -> str:
    return nbformat.read(path, as_version=4).cells[-1].outputs[-1].data["text/plain"]


def _adapter(folder: Path) -> dict[str, Any]:
    return content_of(folder / "adapter")


def _shown_in_book(folder: Path) -> list[str]:
    pages = sorted((folder / "site" / "html" / "notebooks").glob("*.html"))
    return [path.name for path in pages] + [
        _last(path) for path in sorted(folder.glob("store/notebooks/*/*.ipynb"))
    ]


def _pages(folder: Path) -> dict[str, bytes]:
    html = folder / "site" / "html"
    return {
        str(path.relative_to(html)): path.read_bytes() for path in sorted(html.rglob("*")) if path.is_file()
    }


def _run(trial: tuple[Trial, Callable[[Path, Trial], None]], base: Path) -> Trial:
    """Do a trial in a folder of its own, which goes where nothing was wrong."""
    about, do = trial
    folder = Path(tempfile.mkdtemp(prefix=f"{about.kind}-", dir=base))
    about.begun = time.monotonic()
    try:
        do(folder, about)
    except Exception as error:
        about.faults.append(f"{type(error).__name__}: {error}"[:500])
    about.ended = time.monotonic()
    # Paths as they would be anywhere: those of this machine say nothing to a reader.
    about.lines = [line.replace(str(base), "/tmp/faults").replace(str(ROOT), ".") for line in about.lines]
    told = f"; wrong: {about.faults} (see {folder})" if about.faults else ""
    print(f"{about.kind}: {about.what}: {about.came}, {about.ended - about.begun:.0f} s{told}", flush=True)
    if not about.faults:
        shutil.rmtree(folder, ignore_errors=True)
    return about


_Trials = list[tuple[Trial, Callable[[Path, Trial], None]]]


# --- kills

# Of each work: how many runs, and how many kills of each of them at most.
_KILLED = {"alone": (5, 9), "side by side": (3, 10), "together": (8, 5), "book": (1, 12), "site": (3, 6)}


def kills(works: Mapping[str, Work], references: Mapping[str, Any], seed: int) -> _Trials:
    """Kills of runs that go on after each, and then come to their end."""
    planned: _Trials = []
    for name, (n_runs, most) in _KILLED.items():
        for number in range(n_runs):
            about = Trial("kills", name)
            planned.append(
                (
                    about,
                    partial(
                        _killed, works[name], references[name], random.Random(f"{seed} {name} {number}"), most
                    ),
                )
            )
    return planned


def _killed(
    work: Work, reference: dict[str, Any], moments: random.Random, most: int, folder: Path, about: Trial
) -> None:
    signals = list(SIGNALS)
    moments.shuffle(signals)
    for number in range(most):
        ending = ended(
            work.command(folder),
            by=signals[number % len(signals)],
            moments=moments,
            at_start=moments.random() < 0.25,
            folder=folder,
            variables=work.environment(folder),
            site=folder / "site" if work.site else None,
        )
        if ending is None:
            break
        if ending.stage:
            about.endings.append(ending)
        about.faults += [f"{ending.by} in {ending.stage}: {fault}" for fault in ending.faults]
    _compare(work, reference, folder, about)


def _compare(work: Work, reference: dict[str, Any], folder: Path, about: Trial, **more: Any) -> None:
    """Run a work to its end, and compare what it made with what it makes undisturbed."""
    answer = work.whole(folder, **more)
    # A kill may come when the output has just been written, and what is there is not written over.
    if answer.status != 0 and "is there already" not in answer.line:
        about.faults.append(f"did not go on: {answer.said[-2:]}")
        return
    now = work.made(folder)
    if other := sorted(one for one in reference.keys() | now.keys() if reference.get(one) != now.get(one)):
        about.faults.append(f"{len(other)} files are others: {other[:3]}")


def _lines(answer: Done, about: Trial, *, holds: Sequence[str] = ()) -> None:
    """Note the one line that a command has to end in."""
    about.came = LINE
    if answer.status != 2 or not answer.line or (holds and not any(one in answer.line for one in holds)):
        about.faults.append(f"status {answer.status}, said: {answer.said[-3:]}")
    about.lines.append(answer.line)


# --- disk


def disk(work: Work, reference: dict[str, Any]) -> _Trials:
    """A full disk at several stages, too little room from the start, a limit of a file's size, outputs that
    cannot be written, a store that can only be read.
    """
    planned: _Trials = [
        (Trial("disk", f"files of at most {limit // 1000} kB"), partial(_file_limit, work, reference, limit))
        for limit in (2_000, 20_000, 200_000)
    ]
    planned.append((Trial("disk", "an output on a full device"), _full_device))
    if not _can_mount():
        MISSING.append(
            ("disk", "a full disk and a file system that can only be read: none could be mounted here")
        )
        return planned
    planned += [
        (Trial("disk", f"full at stage {n}"), partial(_full_disk, work, reference, n))
        for n in (1, 2, 4, 6, 8)
    ]
    return [
        *planned,
        (Trial("disk", "full from the start"), partial(_no_room, work)),
        (
            Trial("disk", "a store that can only be read, all made"),
            partial(_read_only, work, reference, False),
        ),
        (
            Trial("disk", "a store that can only be read, half made"),
            partial(_read_only, work, reference, True),
        ),
    ]


def _can_mount() -> bool:
    folder = Path(tempfile.mkdtemp())
    with contextlib.suppress(OSError, subprocess.CalledProcessError), _mounted(folder, "1m"):
        return True
    return False


@contextlib.contextmanager
def _mounted(folder: Path, size: str) -> Iterator[Path]:
    """A small file system of its own in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    subprocess.run(words, check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(folder: Path) -> None:
    """Leave no room on a file system."""
    with (folder / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 16))


def _full_disk(work: Work, reference: dict[str, Any], n: int, folder: Path, about: Trial) -> None:
    with _mounted(folder / "store", "200m") as store:
        answer = _while_running(work, folder, n, partial(_fill, store))
        if answer.status == 0:
            raise RuntimeError("it was done before the disk was full")
        _lines(answer, about, holds=("No space left", "room"))
        (store / "filler").unlink()
        about.came = BOTH
        _compare(work, reference, folder, about)


def _while_running(work: Work, folder: Path, n: int, then: Callable[[], None]) -> Done:
    """Run a work, and do something once its so-maniest stage was begun."""
    store, over = folder / "store", threading.Event()

    def watch() -> None:
        seen: set[Path] = set()
        while len(seen) < n and not over.wait(0.005):
            seen |= set(store.glob("*/*.partial"))
        if not over.is_set():
            then()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        return work.whole(folder)
    finally:
        over.set()
        watcher.join()


def _no_room(work: Work, folder: Path, about: Trial) -> None:
    with _mounted(folder / "store", "200k") as store:
        _fill(store)
        _lines(work.whole(folder), about, holds=("No space left", "room", "GB"))


def _file_limit(work: Work, reference: dict[str, Any], limit: int, folder: Path, about: Trial) -> None:
    def few() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    _lines(work.whole(folder, preexec_fn=few), about)
    about.came = BOTH
    _compare(work, reference, folder, about)


def _full_device(folder: Path, about: Trial) -> None:
    rows = _rows(folder)
    (folder / "scores.jsonl").symlink_to("/dev/full")
    words = [
        "score",
        "--scorer",
        "refusal-rules",
        "--input",
        str(rows),
        "--output",
        str(folder / "scores.jsonl"),
    ]
    answer = done(command(*words), folder=folder, variables={}, cwd=folder)
    _lines(answer, about, holds=("No space left",))
    kept = [path for path in folder.glob("*.jsonl") if path not in (rows, folder / "scores.jsonl")]
    if not kept:
        about.faults.append("what was computed is not kept")


def _rows(folder: Path, n: int = 5) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"prompt": f"Name thing {i} of a kitchen.", "response": f"Here is spoon number {i}."}
        for i in range(n)
    ]
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _read_only(work: Work, reference: dict[str, Any], half: bool, folder: Path, about: Trial) -> None:
    def close() -> None:
        # The system takes a moment to close what a killed process had open.
        for last in [False] * 100 + [True]:
            words = ["mount", "-o", "remount,ro", str(folder / "store")]
            if subprocess.run(words, check=last, capture_output=True).returncode == 0:
                return
            time.sleep(0.1)

    with _mounted(folder / "store", "200m"):
        if not half:
            work.whole(folder)
            close()
            (folder / "out.ipynb").unlink()
            _compare(work, reference, folder, about)
            return
        _half(work, folder)  # for while a file is open for writing, a file system cannot be made read-only
        close()
        _lines(work.whole(folder), about, holds=("Read-only", "written"))
        subprocess.run(["mount", "-o", "remount,rw", str(folder / "store")], check=True)
        about.came = BOTH
        _compare(work, reference, folder, about)


# --- clock, memory


# Python's own clock; libfaketime, which sets that of the system, lets Python's locks wait for ever.
_CLOCK = """import time
since_1970, in_ns = time.time, time.time_ns
time.time = lambda: since_1970() + DAYS * 86400
time.time_ns = lambda: in_ns() + DAYS * 86400 * 10**9
"""


def clocks(work: Work, reference: dict[str, Any]) -> _Trials:
    """A clock that is set back or ahead between two parts of a run, and files from the future."""
    planned: _Trials = [
        (Trial("clock", "all files from next year"), partial(_from_the_future, work, reference))
    ]
    return planned + [
        (Trial("clock", f"set {words} by a year"), partial(_other_clock, work, reference, days))
        for words, days in (("back", -365), ("ahead", 365))
    ]


def _half(work: Work, folder: Path) -> None:
    """Run a work until its fourth stage was begun, and kill it."""
    moments = random.Random(0)
    moments.randint = lambda *_: 4  # type: ignore[method-assign]
    ended(
        work.command(folder),
        by="KILL",
        moments=moments,
        at_start=False,
        folder=folder,
        variables=work.environment(folder),
    )


def _from_the_future(work: Work, reference: dict[str, Any], folder: Path, about: Trial) -> None:
    _half(work, folder)
    for path in (folder / "store").rglob("*"):
        os.utime(path, (time.time() + 3.2e7,) * 2)
    _compare(work, reference, folder, about)


def _other_clock(work: Work, reference: dict[str, Any], days: int, folder: Path, about: Trial) -> None:
    _half(work, folder)
    # Python reads this file before anything else.
    (folder / "clock").mkdir()
    (folder / "clock" / "sitecustomize.py").write_text(_CLOCK.replace("DAYS", str(days)))
    first = os.pathsep.join(filter(None, [str(folder / "clock"), os.environ.get("PYTHONPATH")]))
    _compare(replace(work, variables=dict(work.variables) | {"PYTHONPATH": first}), reference, folder, about)


def memory(work: Work, reference: dict[str, Any]) -> _Trials:
    """Limits of a process's address space."""
    return [
        (
            Trial("memory", f"at most {limit:g} GB of address space"),
            partial(_little_memory, work, reference, limit),
        )
        for limit in (0.25, 0.5, 1, 1.5, 2, 3)
    ]


def _little_memory(work: Work, reference: dict[str, Any], limit: float, folder: Path, about: Trial) -> None:
    def little() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (int(limit * 1e9), int(limit * 1e9)))

    answer = work.whole(folder, preexec_fn=little)
    if answer.status != 0:
        _lines(answer, about, holds=("memory", "Memory", "alloc"))
        about.came = BOTH
    _compare(work, reference, folder, about)


# --- damage


def damage(base: Path) -> _Trials:
    """Every kind of stored file, damaged in every way."""
    planned: _Trials = [
        (Trial("damage", f"every file of a study, {way}"), partial(_damaged_study, way)) for way in HARMS
    ]
    planned += [
        (Trial("damage", f"the copy of the embedded model, {way}"), partial(_damaged_model, way))
        for way in HARMS
    ]
    planned.append((Trial("damage", "an executed notebook, in every way"), partial(_damaged_notebook, base)))
    planned.append((Trial("damage", "a server's replies, in every way"), _damaged_replies))
    if os.environ.get("SAFETUNE_MIRROR"):
        planned.append((Trial("damage", "a fetched data file, in every way"), _damaged_data))
    else:
        MISSING.append(("damage", "damage to a fetched data file: there is no mirror (SAFETUNE_MIRROR)"))
    return planned


def _apart(work: Callable[..., list[str]], *given: Any, store: Path) -> list[str]:
    """Faults that a function finds in a process of its own, with a store of its own."""
    receive, send = (context := multiprocessing.get_context("spawn")).Pipe(duplex=False)
    process = context.Process(target=_found_apart, args=(send, store, work, given))
    process.start()
    send.close()
    try:
        found: list[str] = receive.recv()
    except EOFError:
        found = ["the process died"]
    process.join()
    return found


def _found_apart(send: Any, store: Path, work: Callable[..., list[str]], given: Sequence[Any]) -> None:
    os.environ["SAFETUNE_STORE"] = str(store)
    sys.stderr = open(store.parent / "apart.err", "w")  # noqa: SIM115
    try:
        send.send(work(*given))
    except BaseException as error:
        send.send([f"{type(error).__name__}: {error}"])


def _damaged_study(way: str, folder: Path, about: Trial) -> None:
    about.faults += _apart(_each_damaged, way, store=folder / "store")


def _each_damaged(way: str) -> list[str]:
    for other in [one for one in HARMS if one != way]:
        del HARMS[other]
    study = state(
        preset="smoke", prompt_sets=["ordinary"], safety_amounts=[3], instruments=["refusal-rules"],
        mixing={"choice": "hardest", "n_candidates": 8}, side_effects=["reference-losses"],
    )  # fmt: skip
    return [fault for _, _, faults in damaged_one_by_one(study, every=True) for fault in faults]


def _damaged_model(way: str, folder: Path, about: Trial) -> None:
    """The copy of the embedded model in the cache, and the proofs of its paths."""
    cache, rows = folder / "cache", _rows(folder, 2)
    shutil.copytree(cache_folder() / "models", cache / "models", copy_function=shutil.copy)
    shutil.copytree(cache_folder() / "proofs", cache / "proofs")
    answers = []
    words = ["generate", "--input", str(rows), "--max-new-tokens", "4", "--output"]
    for name in ("before.jsonl", "after.jsonl"):
        answer = done(
            command(*words, str(folder / name)), folder=folder, variables={"SAFETUNE_CACHE": str(cache)}
        )
        if answer.status != 0:
            _lines(answer, about)
            if name == "before.jsonl":
                raise RuntimeError("no answer undisturbed")
            return
        answers.append((folder / name).read_bytes())
        for path in [one for one in sorted(cache.rglob("*")) if one.is_file() and one.suffix != ".lock"]:
            if way != "swapped" or path.suffix == ".json":
                _harmed(path, way)
    if answers[0] != answers[1]:
        about.faults.append("other answers")


def _harmed(path: Path, way: str) -> None:
    if way == "swapped":
        path.write_text('{"another": "file"}')
    else:
        HARMS[way](path)


def _damaged_notebook(base: Path, folder: Path, about: Trial) -> None:
    about.faults += _apart(_each_notebook, base / "study.ipynb", store=folder / "store")


def _each_notebook(source: Path) -> list[str]:
    given: dict[str, Any] = {"instruments": ["refusal-rules"], "mixing": {}}
    path = notebooks.executed(source, given=given)
    before, faults = _last(path), []
    for harm in ("flipped", "cut", "emptied", "removed"):
        _harmed(path, harm)
        if _last(notebooks.executed(source, given=given)) != before:
            faults.append(f"{harm}: another result")
    return faults


def _damaged_replies(folder: Path, about: Trial) -> None:
    with _server("good") as server:
        first = _judged(folder, server.url, "judge-harm", "first.jsonl")
        if first.status != 0:
            raise RuntimeError(first.said[-1:])
        for way in HARMS:
            paths = sorted((folder / "store" / "calls").rglob("*.json"))
            if not paths:
                raise RuntimeError("no reply is stored")
            for path in paths:
                _harmed(path, way)
            answer = _judged(folder, server.url, "judge-harm", f"{way}.jsonl")
            same = (folder / f"{way}.jsonl").read_bytes() == (folder / "first.jsonl").read_bytes()
            told = sum("stored reply is not as it was written" in line for line in answer.said)
            if answer.status or not same or told != (0 if way == "removed" else len(paths)):
                about.faults.append(f"{way}: status {answer.status}, told {told} of {len(paths)}")


def _damaged_data(folder: Path, about: Trial) -> None:
    """A fetched file is refused by its hash, and the line says which one to delete."""
    entry = min(register.registered_sets().values(), key=lambda one: one.bytes or 1e12)
    path = folder / "cache" / "data" / entry.relative
    path.parent.mkdir(parents=True)
    for way in ("flipped", "cut", "emptied", "swapped"):
        shutil.copy(Path(os.environ["SAFETUNE_MIRROR"]) / entry.relative, path)
        _harmed(path, way)
        variables = {"SAFETUNE_MIRROR": "", "SAFETUNE_CACHE": str(folder / "cache")}
        answer = done(command("data", "fetch", entry.name), folder=folder, variables=variables)
        _lines(answer, about, holds=("delete that file",))


# --- processes


def processes(work: Work, reference: dict[str, Any]) -> _Trials:
    """Several commands at the same time, on one store and on one output."""
    return [
        (
            Trial("processes", f"{n} at the same time on one store{' and one output' if one else ''}"),
            partial(_at_the_same_time, work, reference, n, one),
        )
        for n in (2, 4)
        for one in (False, True)
    ]


def _at_the_same_time(
    work: Work, reference: dict[str, Any], n: int, one_output: bool, folder: Path, about: Trial
) -> None:
    folders = [folder / str(number) for number in range(n)]
    store = {"SAFETUNE_STORE": str(folder / "store")}

    def go(own: Path) -> Done:
        own.mkdir()
        words = work.command(folder if one_output else own)
        return done(words, folder=own, variables=work.environment(own) | store)

    with ThreadPoolExecutor(n) as pool:
        answers = list(pool.map(go, folders))
    for answer in answers:
        if one_output and answer.status == 2:
            _lines(answer, about, holds=("is being written by another process",))
        elif answer.status != 0:
            about.faults.append(f"status {answer.status}, said {answer.said[-2:]}")
    if all(answer.status for answer in answers):
        about.faults.append("none came to its end")
    about.came = BOTH if about.lines else SAME
    _compare(work, reference, folder, about)
    for own in [] if one_output else folders:
        if work.result(own) != reference["result"]:
            about.faults.append(f"process {own.name} shows something else")


# --- servers


class _Faulty(http.server.ThreadingHTTPServer):
    """A server that does the same whatever it is asked."""

    daemon_threads = True
    mode = "good"
    over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is part of the play."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Faulty

    def log_message(self, *arguments: Any) -> None:
        pass

    def _answer(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        body, headers, status = completion("Rating: 1"), {}, 200
        if self.server.mode == "hangs":
            self.server.over.wait(600)
            return
        if self.server.mode == "breaks off":
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if self.server.mode == "says 429 for ever":
            status, body, headers = 429, b'{"error": {"message": "slow down"}}', {"Retry-After": "1"}
        if self.server.mode == "says 500 for ever":
            status, body = 500, b"<html>"
        self.send_response(status)
        for name, value in (
            {"Content-Length": str(len(body)), "Content-Type": "application/json"} | headers
        ).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.server.mode == "answers half" else body)
        self.close_connection = True

    do_GET = do_POST = do_HEAD = do_CONNECT = _answer


@contextlib.contextmanager
def _server(mode: str) -> Iterator[_Faulty]:
    server = _Faulty(("127.0.0.1", 0), _Handler)
    server.mode, server.over = mode, threading.Event()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()


_MODES = ("hangs", "answers half", "breaks off", "says 429 for ever", "says 500 for ever")


def servers(base: Path) -> _Trials:
    """Servers that misbehave for ever: of a judge, of moderation, of the hub, a proxy before a download."""
    asked: dict[str, Callable[[str, Path, Trial], None]] = {
        "judge": partial(_misjudged, "judge-harm"),
        "moderation": partial(_misjudged, "moderation"),
        "hub": _no_hub,
        "download": _no_download,
    }
    return [
        (Trial("servers", f"{name}: the server {mode}"), partial(do, mode))
        for name, do in asked.items()
        for mode in _MODES
    ]


def _judged(folder: Path, url: str, scorer: str, output: str) -> Done:
    rows = folder / "rows.jsonl"
    words = ["score", "--scorer", scorer, "--input", str(rows if rows.exists() else _rows(folder))]
    words += ["--output", str(folder / output), "--base-url", f"{url}/v1", "--model", "tiny"]
    return done(command(*words), folder=folder, variables={"OPENAI_API_KEY": ""})


def _misjudged(scorer: str, mode: str, folder: Path, about: Trial) -> None:
    with _server(mode) as server:
        _lines(_judged(folder, server.url, scorer, "scores.jsonl"), about, holds=("scored", "reached"))
    if scorer == "moderation":
        return
    about.came = BOTH
    with _server("good") as server:
        if (answer := _judged(folder, server.url, scorer, "scores.jsonl")).status != 0:
            about.faults.append(f"did not go on: {answer.said[-1:]}")
        _judged(folder / "fresh", server.url, scorer, "scores.jsonl")
    if (folder / "scores.jsonl").read_bytes() != (folder / "fresh" / "scores.jsonl").read_bytes():
        about.faults.append("other scores")


def _no_hub(mode: str, folder: Path, about: Trial) -> None:
    words = ["generate", "--base", "somebody/some-model", "--input", str(_rows(folder)), "--output"]
    with _server(mode) as server:
        variables = {"HF_ENDPOINT": server.url, "HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "0"}
        answer = done(command(*words, str(folder / "out.jsonl")), folder=folder, variables=variables)
    _lines(answer, about)


def _no_download(mode: str, folder: Path, about: Trial) -> None:
    name = min(register.registered_sets())
    with _server(mode) as server:
        variables = {
            "SAFETUNE_MIRROR": "", "SAFETUNE_CACHE": str(folder / "cache"),
            "HTTPS_PROXY": server.url, "https_proxy": server.url, "NO_PROXY": "", "no_proxy": "",
        }  # fmt: skip
        answer = done(command("data", "fetch", name), folder=folder, variables=variables)
    _lines(answer, about, holds=("could not be downloaded",))


# --- what came


def _write(path: Path, kind: str, trials: Sequence[Trial], *, seed: int) -> None:
    """Write what came of a kind; the others stay as they were."""
    there = json.loads(path.read_text("utf-8"))["kinds"] if path.is_file() else {}
    there[kind] = {
        "seed": seed,
        "started": surroundings.now(),
        "seconds": round(max(one.ended for one in trials) - min(one.begun for one in trials)),
        "load": round(os.getloadavg()[2], 1),
        **surroundings.surroundings(),
        "trials": [_shown_trial(one) for one in sorted(trials, key=lambda one: one.begun)],
        "not_tried": [line for of, line in MISSING if of == kind],
        "faults": [f"{one.what}: {fault}" for one in trials for fault in one.faults],
    }
    in_order = {name: there[name] for name in KINDS if name in there}
    write_json(path, {"made_by": "benchmarks/faults.py", "kinds": in_order})


def _shown_trial(trial: Trial) -> dict[str, Any]:
    line = next(filter(None, trial.lines), "")[:300]
    shown: dict[str, Any] = {
        "what": trial.what,
        "came": trial.came,
        "seconds": round(trial.ended - trial.begun),
    }
    if trial.kind != "kills":
        return shown | {"line": line}
    kills = [{"stage": one.stage, "signal": one.by, "processes": one.processes} for one in trial.endings]
    return shown | {"kills": kills}


if __name__ == "__main__":
    sys.exit(main())
