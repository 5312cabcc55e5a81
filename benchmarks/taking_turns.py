"""What the measurements of speed share: sides that take turns, each in a process of its own, and what is
measured of them.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers import logging as transformers_logging

from safetune_utils.machine.memory import peak_memory, release_memory
from safetune_utils.machine.surroundings import processor_name
from safetune_utils.models import embedded


def plain_model(precision: str) -> tuple[Any, Any]:
    """The embedded base as anybody would load it, without what ``safetune_utils`` sets on it for speed."""
    dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[precision]
    model = AutoModelForCausalLM.from_pretrained(embedded.embedded_folder(), dtype=dtype)
    return model, AutoTokenizer.from_pretrained(embedded.embedded_folder())


def measured(work: Callable[[], Any]) -> tuple[Any, dict[str, Any]]:
    """Do some work; return its result, its time and peak memory, and the machine's matrix speed around it."""
    before = matmul_gflops()
    release_memory()  # so that the peak is the work's own
    with peak_memory() as peak:
        clock, used = time.perf_counter(), time.process_time()
        result = work()
        seconds, used = time.perf_counter() - clock, time.process_time() - used
    after = matmul_gflops()
    return result, {
        "seconds": seconds,
        # Far below threads x seconds, something else had the machine: the matrix products before and after
        # would not show it.
        "processor_seconds": used,
        "peak_memory_bytes": peak["bytes"],
        "matmul_gflops": {name: round((before[name] + after[name]) / 2, 1) for name in before},
        "threads": torch.get_num_threads(),
    }


def matmul_gflops(*, size: int = 1024, seconds: float = 0.5) -> dict[str, float]:
    """Speed of a square matrix product in each number format, in 10^9 operations a second."""
    rates = {}
    for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
        a @ b  # the first product prepares the kernel
        n, clock = 0, time.perf_counter()
        while time.perf_counter() - clock < seconds:
            a @ b
            n += 1
        rates[name] = n * 2 * size**3 / (time.perf_counter() - clock) / 1e9
    return rates


def take_turns(
    *, script: Path, sides: list[str], rounds: int, arguments: list[str]
) -> list[list[dict[str, Any]]]:
    """Run every side of a script once a round, each in its own process; a side that fails gives its error's
    last line.
    """
    results: list[list[dict[str, Any]]] = []
    for number in range(1, rounds + 1):
        results.append([])
        for side in sides:
            command = [sys.executable, str(script), "--side", side, *arguments]
            done = subprocess.run(
                command, capture_output=True, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"}
            )
            if done.returncode == 0:
                run = json.loads(done.stdout.splitlines()[-1])
            else:
                killed = f"killed by signal {-done.returncode}" if done.returncode < 0 else ""
                run = {
                    "side": side,
                    "error": killed
                    or (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1],
                }
            results[-1].append(run)
            print(
                f"round {number}, {side}: {run.get('error') or str(run['tokens_per_second']) + ' tokens/s'}",
                flush=True,
            )
    return results


def together(command: list[str], *, n: int, threads: int) -> list[dict[str, Any]]:
    """What a command prints last, as JSON, from each of several processes that run side by side."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    running = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        for _ in range(n)
    ]
    return [json.loads(process.communicate()[0].splitlines()[-1]) for process in running]


def by_side(rounds: list[list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    return {
        side["side"]: [run for row in rounds for run in row if run["side"] == side["side"]]
        for side in rounds[0]
    }


def spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def ratio(rounds: list[list[dict[str, Any]]], faster: str, slower: str) -> dict[str, float] | None:
    """How many times a side's tokens per second another's are, taken within each round."""
    runs = by_side(rounds)
    if any("error" in run for run in (*runs[faster], *runs[slower])):
        return None
    return spread(
        [
            a["tokens_per_second"] / b["tokens_per_second"]
            for a, b in zip(runs[faster], runs[slower], strict=True)
        ]
    )


def machine(rounds: list[list[dict[str, Any]]]) -> dict[str, Any]:
    threads = next((run["threads"] for row in rounds for run in row if "threads" in run), None)
    return {"processor": processor_name(), "threads": threads}


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def quiet() -> None:
    """Hold back loading bars and warnings, which are not what is measured."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def write_result(path: Path, result: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result["summary"], indent=1))
