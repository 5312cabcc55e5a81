"""No process outlives the one that started it, and a command that is stopped says so in one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from kills import MARK, marked
from notebook_cells import write_notebook

from safetune_utils.machine import processes, stopping

LINGER = """
import os
from pathlib import Path
from subprocess_work import linger
from safetune_utils.machine.processes import Piece, side_by_side
pieces = [Piece(linger, (Path(os.environ["SAFETUNE_KILLS"]) / name,)) for name in "ab"]
side_by_side(pieces, bytes_each=1, loads_models=False)
"""


def wait_until_gone(folder: Path) -> None:
    """Fail where one of them runs on; what they do takes ten minutes."""
    for _ in range(300):
        if not marked(folder):
            return
        time.sleep(0.05)
    left = marked(folder)
    told = [process.cmdline() for process in left]
    for process in left:
        process.kill()
    raise AssertionError(f"still there: {told}")


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder for temporary files with a short name: the path of a socket has room for 100 characters."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.parametrize(
    ("by", "status", "name"),
    [
        (signal.SIGKILL, -9, None),
        (signal.SIGTERM, 143, "SIGTERM"),
        (signal.SIGINT, 130, "Ctrl-C"),
        pytest.param(signal.SIGHUP, 129, "SIGHUP", marks=pytest.mark.slow),
    ],
)
def test_whatever_ends_a_run_ends_its_kernel_its_workers_and_what_they_started(
    by: signal.Signals, status: int, name: str | None, tmp_path: Path, short: Path
) -> None:
    # No study, whose cells would be run before its kernel's.
    path = write_notebook(
        tmp_path / "n.ipynb", LINGER, parameters='mode: str = "replay"  # mode', schema="drafting"
    )
    environment = os.environ | {
        MARK: str(tmp_path),
        "SAFETUNE_AT_ONCE": "2",
        "TMPDIR": str(short),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, "-m", "safetune_utils", "run", str(path)]
    process = subprocess.Popen(
        [*command, "--output", str(tmp_path / "out.ipynb")],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(by, signal.SIG_DFL) if name else None,  # a shell may have it ignored
    )
    while not ((tmp_path / "a").exists() and (tmp_path / "b").exists()):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    # The command, its kernel, the server process, two workers and what they started, and Python's tracker.
    assert len(marked(tmp_path)) == 8
    if by == signal.SIGINT:  # a terminal sends it to all at once
        os.killpg(process.pid, by)
    else:
        process.send_signal(by)
    said = process.communicate(timeout=60)[1].splitlines()
    wait_until_gone(tmp_path)
    assert process.returncode == status
    assert not (tmp_path / "out.ipynb").exists()
    if name:
        assert said[-1].startswith(f"safetune: stopped by {name}: what is in the run store is kept")
        assert not [line for line in said if "Traceback" in line or "Error" in line or "Interrupt" in line]
        # (A kernel that takes two seconds to stop leaves Python's own empty folder.)
        assert not [path for path in short.iterdir() if not path.name.startswith("pymp-")]


def test_a_process_below_is_ended_by_ctrl_c_without_a_word(tmp_path: Path) -> None:
    program = f"import pathlib, time; pathlib.Path({str(tmp_path / 'begun')!r}).touch(); time.sleep(600)"
    process = subprocess.Popen(
        stopping.python(program),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell may have it ignored
    )
    while not (tmp_path / "begun").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == -signal.SIGINT


def test_ctrl_c_while_the_program_is_still_imported_is_no_traceback(tmp_path: Path) -> None:
    slow = f"import pathlib, time\npathlib.Path({str(tmp_path / 'begun')!r}).touch()\ntime.sleep(600)\n"
    (tmp_path / "typer.py").write_text(slow)  # one of the first libraries that it asks for
    process = subprocess.Popen(
        [sys.executable, "-m", "safetune_utils", "--help"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not (tmp_path / "begun").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == -signal.SIGINT


def test_a_signal_ends_the_wait_for_what_the_server_of_subprocesses_imports(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("""
import os, pathlib, time

def work() -> None:
    pass

if str(os.getpid()) != os.environ["MAIN"]:
    pathlib.Path("partial").write_text(str(os.getpid()))
    pathlib.Path("partial").rename("begun")
    time.sleep(600)
""")
    (tmp_path / "script.py").write_text(f"""
import os
os.environ["MAIN"] = str(os.getpid())
import slow
from {processes.__name__} import in_subprocess
from {stopping.__name__} import stop_on_signals
stop_on_signals()
in_subprocess(slow.work, loads_models=False)
""")
    process = subprocess.Popen([sys.executable, "script.py"], cwd=tmp_path, stderr=subprocess.DEVNULL)
    while not (tmp_path / "begun").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) != 0
    server = int((tmp_path / "begun").read_text())
    for _ in range(600):
        if not psutil.pid_exists(server):
            break
        time.sleep(0.1)
    assert not psutil.pid_exists(server)


def test_a_server_of_subprocesses_whose_starter_was_killed_before_it_had_begun_ends(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("""
import os, time

def work() -> None:
    pass

if str(os.getpid()) != os.environ["MAIN"]:
    time.sleep(600)
""")
    (tmp_path / "script.py").write_text(f"""
import os, signal
from multiprocessing import forkserver
os.environ["MAIN"] = str(os.getpid())
import slow
from {processes.__name__} import in_subprocess
started = forkserver.ensure_running
def started_and_killed():
    started()
    os.kill(os.getpid(), signal.SIGKILL)
forkserver.ensure_running = started_and_killed
in_subprocess(slow.work, loads_models=False)
""")
    variables = os.environ | {MARK: str(tmp_path)}
    process = subprocess.Popen([sys.executable, "script.py"], cwd=tmp_path, env=variables)
    assert process.wait(timeout=60) == -signal.SIGKILL
    wait_until_gone(tmp_path)


def test_one_signal_more_ends_a_process_that_takes_long_to_stop(tmp_path: Path) -> None:
    program = f"""
import pathlib, time
from {stopping.__name__} import stop_on_signals
stop_on_signals()
try:
    pathlib.Path({str(tmp_path / "begun")!r}).touch()
    time.sleep(600)
finally:
    pathlib.Path({str(tmp_path / "stopping")!r}).touch()
    time.sleep(600)
"""
    process = subprocess.Popen(stopping.python(f"exec({program!r})"), stderr=subprocess.PIPE)
    for path in (tmp_path / "begun", tmp_path / "stopping"):
        while not path.exists():
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.05)
        if path.name == "begun":
            for _ in range(2):  # as `timeout` does; both are one
                process.send_signal(signal.SIGTERM)
    # On a loaded machine it may have noted the first one late, so that one more counts as the same.
    for _ in range(20):
        time.sleep(1.2)
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGTERM)  # a shell may have the tests ignore SIGINT
    assert process.wait(timeout=60) == 143
    process.communicate()
