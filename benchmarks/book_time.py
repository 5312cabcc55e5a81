"""Say where the time of a book went, stage by stage, from the records of its run store.

    SAFETUNE_STORE=/an/empty/folder safetune book
    SAFETUNE_STORE=/an/empty/folder python benchmarks/book_time.py --name pocket --whole-seconds 700

``--whole-seconds`` is what ``safetune book`` printed at its end; what no stage accounts for is executing the
notebooks' other cells and building the site.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from safetune_utils import places, store
from safetune_utils.estimate import hardware

STAGES = {
    "mixes": "drawing mixes",
    "adapters": "training adapters",
    "responses": "answering",
    "scores": "scoring",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", required=True, help="what was run: pocket, classroom")
    parser.add_argument("--whole-seconds", type=float, required=True)
    parser.add_argument("--output", type=Path, default=places.data_folder() / "results" / "book_time.json")
    given = parser.parse_args()
    found: dict[str, Any] = (
        json.loads(given.output.read_text("utf-8"))
        if given.output.is_file()
        else {"made_by": "benchmarks/book_time.py", "books": {}}
    )
    found["books"][given.name] = book(given.whole_seconds)
    given.output.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(json.dumps(found["books"][given.name], indent=1))


def book(whole: float) -> dict[str, Any]:
    made = {
        name: [
            store.record_of(path.parent)
            for path in sorted(places.store_folder().glob(f"{name}/*/record.json"))
        ]
        for name in STAGES
    }
    stages: list[dict[str, Any]] = [
        {"stage": title, "times": len(made[name]), "seconds": round(sum(map(seconds, made[name])), 1)}
        for name, title in STAGES.items()
    ]
    stages.append(
        {
            "stage": "notebooks' other cells, waiting for the last adapter, and the site",
            "times": 1,
            "seconds": round(whole - sum(row["seconds"] for row in stages), 1),
        }
    )
    return {
        "seconds": whole,
        "threads": torch.get_num_threads(),
        "stages": stages,
        # What `safetune estimate` is checked against, with the speed of this machine's products and memory
        # right after.
        "adapters": [
            {
                "n_safety": record["facts"]["n_safety"],
                "threads": record["machine"]["threads"],
                "seconds": round(seconds(record), 1),
                "tokens_per_second": record["facts"]["tokens_per_second"],
                "peak_memory_bytes": record["peak_memory_bytes"],
            }
            for record in made["adapters"]
        ],
        "answering": {
            "answers": sum(record["facts"]["responses"] for record in made["responses"]),
            "seconds": round(sum(map(seconds, made["responses"])), 1),
            "peak_memory_bytes": max(record["peak_memory_bytes"] for record in made["responses"]),
        },
        "card": vars(hardware.measured_hardware("cpu")),
    }


def seconds(record: store.Record) -> float:
    """Seconds of the whole machine that a stage took: one of two that went side by side on half the threads
    took half of its own.
    """
    return record["seconds"] * record["machine"]["threads"] / torch.get_num_threads()


if __name__ == "__main__":
    main()
