"""Two runs on one machine: threads that wait give their core away, in every process of ours, before torch is
imported.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from safetune_utils.machine import processes

# OpenMP prints what it goes by when torch loads it.
LOOK = "import safetune_utils.machine.processes, torch; torch.ones(2).sum()"


@pytest.mark.skipif(
    sys.platform != "linux", reason="GNU OpenMP, whose setting this is, comes with torch on Linux only"
)
@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({}, "GOMP_SPINCOUNT = '1000'"),
        ({"GOMP_SPINCOUNT": "7"}, "GOMP_SPINCOUNT = '7'"),
        ({"OMP_WAIT_POLICY": "active"}, "OMP_WAIT_POLICY = 'ACTIVE'"),
    ],
)
def test_openmp_is_told_how_long_to_spin_unless_the_user_said_so(own: dict[str, str], told: str) -> None:
    there = {
        name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    environment = there | own | {"OMP_DISPLAY_ENV": "verbose"}
    done = subprocess.run(
        [sys.executable, "-c", LOOK], env=environment, capture_output=True, text=True, check=True
    )
    assert told in done.stderr
    if "OMP_WAIT_POLICY" in own:
        assert "GOMP_SPINCOUNT = '1000'" not in done.stderr


@pytest.mark.slow
def test_torch_was_imported_here_after_it_was_set_and_subprocesses_have_it() -> None:
    assert list(sys.modules).index("safetune_utils") < list(sys.modules).index("torch")
    if "OMP_WAIT_POLICY" not in os.environ:
        assert os.environ["GOMP_SPINCOUNT"]
    assert processes.in_subprocess(os.getenv, "GOMP_SPINCOUNT") == os.environ.get("GOMP_SPINCOUNT")
