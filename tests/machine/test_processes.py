"""A subprocess does what this process does, and several go side by side."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from subprocess_work import asked_to_stop_at_its_end, fail, meet, note, touch

from safetune_utils.errors import SafetuneError
from safetune_utils.machine import processes
from safetune_utils.machine.processes import Piece

THREAD = "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()"


def test_what_a_subprocess_raises_is_raised_here_and_its_death_is_one_line() -> None:
    assert processes.in_subprocess(os.getpid) != os.getpid()
    with pytest.raises(SafetuneError, match="no row has an answer"):
        processes.in_subprocess(fail)
    with pytest.raises(SafetuneError, match="want of memory"):
        processes.in_subprocess(os._exit, 9)


def test_a_subprocess_that_is_asked_to_stop_while_it_ends_does_so_without_a_word(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert (
        processes.in_subprocess(asked_to_stop_at_its_end, loads_models=False, by_server=False) != os.getpid()
    )
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("before", "known"), [("", "Linux"), ("import torch", ""), (THREAD, "")])
def test_without_the_server_a_process_forks_itself_where_it_has_neither_threads_nor_pytorch(
    before: str, known: str
) -> None:
    script = (
        f"{before}\nimport subprocess_work\nfrom safetune_utils.machine.processes import in_subprocess\n"
        'subprocess_work.known_to_forks = "Linux"\n'
        "print(in_subprocess(subprocess_work.what_is_known, loads_models=False, by_server=False))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    said = subprocess.check_output([sys.executable, "-c", script], env=environment, text=True)
    assert said.strip() == (known if sys.platform == "linux" else "")


def test_a_subprocess_has_the_threads_that_it_is_given() -> None:
    assert processes.in_subprocess(torch.get_num_threads, threads=1) == 1


def test_pieces_go_side_by_side_and_a_failure_stops_what_was_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFETUNE_AT_ONCE", "2")
    # Each of the two waits for the other.
    processes.side_by_side([Piece(meet, (tmp_path / name,)) for name in "ab"], bytes_each=1)
    monkeypatch.setenv("SAFETUNE_AT_ONCE", "1")
    others = [Piece(touch, (tmp_path / str(i),)) for i in range(9)]
    with pytest.raises(SafetuneError, match="no row has an answer"):
        processes.side_by_side([Piece(fail), *others], bytes_each=1)
    assert not list(tmp_path.glob("[0-9]"))
    monkeypatch.setenv("SAFETUNE_AT_ONCE", "0")
    with pytest.raises(SafetuneError, match="whole number"):
        processes.side_by_side(others[:1], bytes_each=1)


def test_the_longest_way_to_the_end_is_begun_first_and_no_piece_before_the_one_that_it_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFETUNE_AT_ONCE", "1")
    names = tmp_path / "names"

    def piece(name: str, minutes: float, after: Piece | None = None) -> Piece:
        return Piece(note, (name, names), minutes, after)

    train = piece("train", 2)
    others = [piece("short", 1), piece("long", 4), train]
    processes.side_by_side([*others, piece("ask", 3, after=train)], bytes_each=1)
    assert names.read_text().split() == ["train", "long", "ask", "short"]


LIGHT = """
from subprocess_work import heavy
from safetune_utils.machine.processes import Piece, in_subprocess, side_by_side

side_by_side([Piece(heavy)], bytes_each=1, loads_models=False)
print(heavy(), in_subprocess(heavy, loads_models=False), in_subprocess(heavy, threads=1))
"""


def test_work_without_a_model_begins_without_what_loads_models() -> None:
    said = subprocess.check_output([sys.executable, "-c", LIGHT], text=True, cwd=Path(__file__).parents[1])
    assert said.strip() == "[] [] ['torch']"


def test_a_name_too_long_for_a_socket_is_one_line_that_says_what_to_set(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", LIGHT],
        env=os.environ | {"TMPDIR": str(long)},
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        check=False,
    )
    assert done.stderr.splitlines()[-1].endswith(
        "is too long for a socket in it: set TMPDIR to a shorter one"
    )


def test_memory_and_the_number_of_pieces_bound_how_many_go_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert processes.at_once(5, bytes_each=1) == 5
    assert processes.at_once(50, bytes_each=1) == 8
    assert processes.at_once(5, bytes_each=1e15) == 1
    monkeypatch.setenv("SAFETUNE_PROCESSES", "2")  # each adapter is trained by two already
    assert processes.at_once(5, bytes_each=1) == 1
