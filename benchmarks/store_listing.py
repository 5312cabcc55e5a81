"""How long a run store of 10,000 stages takes to be listed and verified.

    python benchmarks/store_listing.py

The stages stand for responses, with a record as long as real ones and a file of 20 kB. Listing trusts sizes
and times of change; the copied store is listed after a copy that kept no times, once and once more; verifying
reads every file.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from safetune_utils import store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stages", type=int, default=10_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        first, copy = Path(folder) / "store", Path(folder) / "copy"
        seconds("made", lambda: fill(first, given.stages))
        seconds("listed", lambda: listed(first, given.stages))
        seconds("verified", lambda: verified(first))
        shutil.copytree(first, copy, copy_function=shutil.copyfile)
        for path in copy.glob("*/*/*"):
            os.utime(path, (1_000_000_000, 1_000_000_000))
        seconds("copied, listed", lambda: listed(copy, given.stages))
        store._hash_at.cache_clear()
        seconds("copied, listed again", lambda: listed(copy, given.stages))


def fill(folder: Path, stages: int) -> None:
    text = random.Random(0).randbytes(10_000).hex()

    def make(target: Path) -> store.Facts:
        (target / "responses.jsonl").write_text(text, "utf-8")
        return {"responses": 100, "stopped": 90, "answered_by": "own loop"}

    for number in range(stages):
        inputs = {"version": 3, "adapter": "0" * 12, "prompts": "0" * 12, "decoding": {}, "number": number}
        store.produce(stage="responses", label="embedded-n0-seed0", inputs=inputs, make=make, store=folder)


def listed(folder: Path, stages: int) -> None:
    assert len(store.list_records(folder)) == stages


def verified(folder: Path) -> None:
    assert not any(stage.fault for stage in store.stages(folder, trusting=False))


def seconds(what: str, work: Callable[[], None]) -> None:
    started = time.perf_counter()
    work()
    print(f"{what}: {time.perf_counter() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main()
