"""Time and memory to read, check and mix data of the paper's size: 20,000 general and 2,000 safety rows.

    SAFETUNE_MIRROR=DIR python benchmarks/data_speed.py

Where the paper's 20,000 rows are not at hand, the 2,000-row sample stands in ten times over, each copy with a
number in its text, so that no row repeats. They are read from a file as a user's would be, with every check.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

from safetune_utils import data
from safetune_utils.data.mix import mix
from safetune_utils.machine.memory import peak_memory

N_GENERAL, N_SAFETY = 20_000, 2_000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        general, made_of = _general(Path(folder))
        with peak_memory() as peak:
            clock = time.perf_counter()
            rows = data.read_examples(general)
            safety = data.safety_examples("paper-sample")
            loaded = time.perf_counter()
            drawn = mix(
                general=rows,
                safety=safety,
                n_general=N_GENERAL,
                n_safety=N_SAFETY,
                safety_format="instruction",
                n_validation=500,
                seed=0,
                validation="from_mix",
            )
            mixed = time.perf_counter()
            data.content_hash(drawn.train)
            hashed = time.perf_counter()
            data.as_dataset(drawn.train)
            table = time.perf_counter()
    steps = {
        "read and check": loaded - clock,
        "mix": mixed - loaded,
        "hash": hashed - mixed,
        "as a datasets.Dataset": table - hashed,
    }
    print(f"{made_of}; {len(drawn.train):,} rows to train on, {len(drawn.validation)} to validate")
    for name, seconds in steps.items():
        print(f"{name:24} {seconds:6.2f} s")
    print(f"{'all':24} {sum(steps.values()):6.2f} s, peak memory {peak['bytes'] / 1e9:.2f} GB")


def _general(folder: Path) -> tuple[Path, str]:
    if data.is_at_hand("alpaca-20000"):
        return data.fetch("alpaca-20000"), "the paper's 20,000 general rows"
    sample = data.read_table(data.fetch("alpaca-2000")).rows
    rows = [row | {"instruction": f"{copy}: {row['instruction']}"} for copy in range(10) for row in sample]
    path = folder / "general.json"
    path.write_text(json.dumps(rows), "utf-8")
    return path, f"the 2,000-row sample ten times over ({path.stat().st_size / 1e6:.0f} MB)"


if __name__ == "__main__":
    main()
