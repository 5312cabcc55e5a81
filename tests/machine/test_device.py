"""What a machine computes with, planned before anything runs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from safetune_utils.errors import SafetuneError
from safetune_utils.machine import device


def with_gpu(monkeypatch: pytest.MonkeyPatch, *, bf16: bool) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: bf16)


@pytest.mark.parametrize(("bf16", "precision"), [(True, "bf16"), (False, "fp16")])
def test_auto_is_this_machine(bf16: bool, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpu(monkeypatch, bf16=bf16)
    assert device.planned() == ("cuda", precision)
    assert device.planned(precision="fp32") == ("cuda", "fp32")
    assert device.planned(device="cpu", precision="fp32") == ("cpu", "fp32")


def test_a_gpu_is_planned_for_without_one_but_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert device.planned(device="cuda", precision="bf16") == ("cuda", "bf16")
    assert device.planned()[0] == "cpu"
    with pytest.raises(SafetuneError, match="set precision to bf16"):
        device.planned(device="cuda")
    with pytest.raises(SafetuneError, match="run it where there is one"):
        device.check("cuda")
    device.check("cpu")


THREADS = """
import sys
from safetune_utils.machine.device import n_threads
from safetune_utils.machine.surroundings import surroundings

found = n_threads(), surroundings()["machine"]["threads"], "torch" in sys.modules
import torch

print(found == (torch.get_num_threads(),) * 2 + (False,), found)
"""


@pytest.mark.parametrize("given", [None, "1"])
def test_pytorch_s_threads_are_counted_without_it(given: str | None) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment |= {"OMP_NUM_THREADS": given} if given else {}
    said = subprocess.check_output([sys.executable, "-c", THREADS], text=True, env=environment)
    assert said.startswith("True"), said
