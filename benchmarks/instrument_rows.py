"""Let every offline instrument score the same answers that people labelled, and take the time each needs.

    SAFETUNE_MIRROR=DIR python benchmarks/instrument_rows.py

The answers are those of the harmfulness model's test questions, on which nothing was trained or chosen.
Writes ``data/results/instrument_rows.json``, which chapter 8 and the page of the instruments read: figures
only, no text. Run it with the machine to itself.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pandas as pd
import torch

from safetune_utils import data, places
from safetune_utils.scoring import instruments
from safetune_utils.scoring.score import Score

NAMES = ("refusal-rules", "refusal", "harmfulness", "coherence")
_WARM_UP = 8  # rows, so that a model's loading is not timed


def main() -> None:
    rows = data.split_by_prompt(data.harm_pairs())["test"]
    prompts, responses = [row.prompt for row in rows], [row.response for row in rows]
    columns: dict[str, list[Any]] = {
        "prompt_id": pd.factorize(pd.Series(prompts).str.lower().str.split().str.join(" "))[0].tolist(),
        "people": [row.label == "harmless" for row in rows],
        "words": [len(response.split()) for response in responses],
    }
    seconds = {}
    for name in NAMES:
        instruments.score(name, prompts[:_WARM_UP], responses[:_WARM_UP])
        clock = time.perf_counter()
        scores = instruments.score(name, prompts, responses)
        seconds[name] = round((time.perf_counter() - clock) / len(rows) * 1000, 2)
        columns[name] = [None if one.value is None else round(one.value, 3) for one in scores]
        if name == "refusal":
            columns["probability of a refusal"] = [_probability(one) for one in scores]
    found = {
        "made_by": "benchmarks/instrument_rows.py",
        "answers": len(rows),
        "threads": torch.get_num_threads(),
        "seconds_per_1000": seconds,
        "columns": columns,
    }
    path = places.data_folder() / "results" / "instrument_rows.json"
    path.write_text(json.dumps(found) + "\n", "utf-8")
    print(json.dumps(seconds, indent=1))


def _probability(score: Score) -> float | None:
    """The refusal model's probability; 1 where the rules found a refusal, for they decide there."""
    return None if score.value is None else round(score.parts.get("refusal", score.value), 3)


if __name__ == "__main__":
    main()
