"""Two processes train what one trains, and a process apart does what this one does: the same adapter in fp32."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from safetune_utils import store
from safetune_utils.errors import SafetuneError
from safetune_utils.machine import distributed, processes
from safetune_utils.study import stages
from safetune_utils.study.design import state
from safetune_utils.study.run import run
from safetune_utils.study.study import Study

ONE_THREAD = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


def study(base: Path) -> Study:
    recipe = {
        "epochs": 2,
        "batch_size": 8,
        "learning_rate": 0.02,
        "n_validation": 5,
        "evaluations": 2,
        "warmup_steps": 1,
    }
    return state(
        prompt_sets=[],
        preset="smoke",
        base_model=str(base),
        precision="fp32",
        n_general=15,
        safety_amounts=[6],
        recipe=recipe,
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


@pytest.mark.slow
def test_two_processes_of_accelerate_train_the_adapter_of_one(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process with batches of 8 against two with their 4 of each; 21 rows, so that the last batch is
    uneven.
    """
    asked = study(base)
    alone = stages.train(asked, asked.runs[0], output=tmp_path / "alone")
    for name, value in ONE_THREAD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SAFETUNE_PROCESSES", "2")
    folder = stages.adapter_folder(asked, asked.runs[0])  # through the store, as a notebook does
    together = store.read_record(folder)["facts"]
    assert (alone["processes"], together["processes"]) == (1, 2)
    assert alone["steps"] == together["steps"] == 6
    assert together["best_validation_loss"] == pytest.approx(alone["best_validation_loss"], rel=1e-4)
    assert together["last_train_loss"] == pytest.approx(alone["last_train_loss"], rel=1e-4)
    assert weights(folder).keys() == weights(tmp_path / "alone").keys()
    for name, weight in weights(tmp_path / "alone").items():
        torch.testing.assert_close(weights(folder)[name], weight, rtol=1e-3, atol=1e-4)
    moved = max(weight.abs().max().item() for name, weight in weights(folder).items() if "lora_B" in name)
    assert moved > 0.01  # far more than the tolerance: it learned


@pytest.mark.slow
def test_the_command_line_trains_under_accelerate_launch(base: Path, tmp_path: Path) -> None:
    words = [
        "--multi_gpu",
        "--num_processes",
        "2",
        "--num_machines",
        "1",
        "--main_process_port",
        "0",
        "--mixed_precision",
        "no",
        "--dynamo_backend",
        "no",
    ]
    words += [
        "-m",
        "safetune_utils",
        "finetune",
        "--base",
        str(base),
        "--preset",
        "smoke",
        "--amount",
        "4",
        "--output",
        str(tmp_path / "adapter"),
    ]
    command = [sys.executable, "-m", "accelerate.commands.launch", *words]
    done = subprocess.run(
        command, env=os.environ | ONE_THREAD, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == [str(tmp_path / "adapter")]  # said once
    assert {path.name for path in (tmp_path / "adapter").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "losses.csv",
    }


def test_a_failure_in_the_processes_is_one_line_and_leaves_no_adapter(
    base: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in ONE_THREAD.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SafetuneError, match="SAFETUNE_PROCESSES"):
        distributed.launch(
            "train-together",
            json.dumps(
                {"settings": {"preset": "pocket", "base_model": "/nowhere"}, "n_safety": 0, "seed": 0}
            ),
            processes=2,
        )
    monkeypatch.setenv("SAFETUNE_PROCESSES", "two")
    with pytest.raises(SafetuneError, match="whole number"):
        stages.train(study(base), study(base).runs[0], output=base / "out")
    capfd.readouterr()


def test_an_adapter_made_in_a_process_apart_is_the_one_made_here(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for place, least_rows in (("here", 10**9), ("apart", 0)):
        monkeypatch.setenv("SAFETUNE_STORE", str(tmp_path / place))
        monkeypatch.setattr(study_module, "_APART_FROM_ROWS", least_rows)
        asked = study(base)
        monkeypatch.setattr(
            study_module.finetune, "finetune", study_module.finetune.finetune if place == "here" else None
        )  # none to call in this process
        assert run(asked).empty  # no prompt set was asked for
        found[place] = weights(stages.adapter_folder(asked, asked.runs[0], make=False))
        monkeypatch.undo()
    assert found["here"].keys() == found["apart"].keys()
    assert all(torch.equal(found["apart"][name], weight) for name, weight in found["here"].items())


def test_what_a_process_apart_raises_is_raised_here_and_its_death_is_one_line() -> None:
    assert processes.in_subprocess(os.getpid) != os.getpid()
    with pytest.raises(SafetuneError, match="no row has an answer"):
        processes.in_subprocess(_fail)
    with pytest.raises(SafetuneError, match="want of memory"):
        processes.in_subprocess(os._exit, 9)


def test_pieces_go_side_by_side_and_a_failure_stops_what_was_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFETUNE_AT_ONCE", "2")
    processes.side_by_side(
        [(_meet, tmp_path / "a"), (_meet, tmp_path / "b")], bytes_each=1
    )  # each waits for the other
    monkeypatch.setenv("SAFETUNE_AT_ONCE", "1")
    with pytest.raises(SafetuneError, match="no row has an answer"):
        processes.side_by_side(
            [(_fail, None), *[(_touch, tmp_path / str(i)) for i in range(9)]], bytes_each=1
        )
    assert len(list(tmp_path.glob("[0-9]"))) <= 1  # one may have begun while the failure travelled
    monkeypatch.setenv("SAFETUNE_AT_ONCE", "0")
    with pytest.raises(SafetuneError, match="whole number"):
        processes.side_by_side([(_touch, tmp_path / "c")], bytes_each=1)


def test_memory_and_the_number_of_pieces_bound_how_many_go_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel.torch, "get_num_threads", lambda: 8)
    assert processes.at_once(5, bytes_each=1) == 5
    assert processes.at_once(50, bytes_each=1) == 8
    assert processes.at_once(5, bytes_each=1e15) == 1
    monkeypatch.setenv("SAFETUNE_PROCESSES", "2")  # each adapter is trained by two already
    assert processes.at_once(5, bytes_each=1) == 1


def _fail(_: object = None) -> None:
    raise SafetuneError("no row has an answer")


def _touch(path: Path) -> None:
    path.touch()


def _meet(path: Path) -> None:
    path.touch()
    other = path.with_name("b" if path.name == "a" else "a")
    for _ in range(1200):
        if other.exists():
            return
        time.sleep(0.05)
    raise AssertionError("the other piece was not begun")
