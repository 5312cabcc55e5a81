"""Say where the time of a book went, stage by stage, from the records of its run store.

    SAFETUNE_STORE=/an/empty/folder safetune book
    SAFETUNE_STORE=/an/empty/folder python benchmarks/book_time.py --name pocket --whole-seconds 700

``--whole-seconds`` is what ``safetune book`` printed at its end; what no stage accounts for is executing the notebooks'
other cells and building the site.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from safetune_utils import cards, data, records

STAGES = {"mixes": "drawing mixes", "adapters": "training adapters", "responses": "answering", "scores": "scoring"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", required=True, help="what was run: pocket, classroom")
    parser.add_argument("--whole-seconds", type=float, required=True)
    parser.add_argument("--output", type=Path, default=data.data_folder() / "results" / "book_time.json")
    given = parser.parse_args()
    found = json.loads(given.output.read_text("utf-8")) if given.output.is_file() else {"made_by": "benchmarks/book_time.py", "books": {}}
    found["books"][given.name] = book(given.whole_seconds)
    given.output.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(json.dumps(found["books"][given.name], indent=1))


def book(whole: float) -> dict[str, Any]:
    table = records.list_records()
    stages = [
        {"stage": title, "times": int((table["stage"] == name).sum()), "seconds": round(float(table[table["stage"] == name]["seconds"].sum()), 1)}
        for name, title in STAGES.items()
    ]
    stages.append({"stage": "notebooks' other cells, and the site", "times": 1, "seconds": round(whole - sum(row["seconds"] for row in stages), 1)})
    adapters = [records.read_record(folder) for folder in sorted(records.store_folder().glob("adapters/*")) if records.is_made(folder)]
    responses = [records.read_record(records.store_folder() / "responses" / name) for name in table[table["stage"] == "responses"]["folder"]]
    seconds = sum(record["seconds"] for record in responses)
    return {
        "seconds": whole,
        "stages": stages,
        # What `safetune estimate` is checked against, with the speed of this machine's products and memory right after.
        "adapters": [
            {
                "n_safety": r["facts"]["n_safety"],
                "seconds": r["seconds"],
                "tokens_per_second": r["facts"]["tokens_per_second"],
                "peak_memory_bytes": r["peak_memory_bytes"],
            }
            for r in adapters
        ],
        "answering": {
            "answers": sum(r["facts"]["answers"] for r in responses),
            "seconds": round(seconds, 1),
            "peak_memory_bytes": max(r["peak_memory_bytes"] for r in responses),
        },
        "card": vars(cards.measured_card("cpu")),
    }


if __name__ == "__main__":
    main()
