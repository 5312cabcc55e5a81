"""Let every offline instrument score the answers that the paper's own models gave.

    SAFETUNE_MIRROR=DIR python benchmarks/authors_answers.py

The answers are those of :func:`safetune_utils.data.paper_responses`, which state no licence. Writes
``data/results/authors_answers.json``, which the page "The paper's own outputs" reads: counts only, no text.
Everything is computed in fp32, so that it comes out alike on any machine.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pandas as pd

from safetune_utils import data, places, store
from safetune_utils.machine.files import write_json
from safetune_utils.machine.surroundings import surroundings
from safetune_utils.scoring import instruments, readings
from safetune_utils.scoring.instruments import INSTRUMENTS, OF_REFUSAL

PRECISION = "fp32"
# Openings by which XSTest's string rules know a refusal, and ours do not.
OPENINGS = ("no,", "as an ai")


def main() -> None:
    rows = pd.DataFrame(vars(row) for row in data.paper_responses())
    names = instruments.at_hand()
    for name in names:
        scores = instruments.score(name, [*rows["prompt"]], [*rows["response"]], precision=PRECISION)
        rows[name] = readings.says_yes(name, pd.Series([score.value for score in scores], dtype=float))
    found = {
        "made_by": "benchmarks/authors_answers.py",
        "precision": PRECISION,
        "instruments": {name: instruments.key(name, arithmetic=f"cpu-{PRECISION}") for name in names},
        "weights": {
            name: store.file_hash(places.data_folder() / "weights" / INSTRUMENTS[name].weights)
            for name in names
            if INSTRUMENTS[name].weights
        },
        "shares": [share for name in names for share in shares(rows, name)],
        "pairs": [pair for name in names if name in OF_REFUSAL for pair in pairs(rows, name)],
        "openings": [opening for name in names if name in OF_REFUSAL for opening in openings(rows, name)],
    } | {part: surroundings()[part] for part in ("code", "versions")}
    write_json(places.data_folder() / "results" / "authors_answers.json", found)
    print(json.dumps(found["shares"], indent=1))


def shares(rows: pd.DataFrame, name: str) -> list[dict[str, Any]]:
    """How many answers of each model to each prompt set an instrument says yes to."""
    return [
        {
            "instrument": name,
            "prompt_set": prompt_set,
            "n_safety": n_safety,
            "yes": int(group[name].eq(True).sum()),
            "n": int(group[name].notna().sum()),
            "n_unscored": int(group[name].isna().sum()),
        }
        for (n_safety, prompt_set), group in rows.groupby(["n_safety", "prompt_set"], sort=False)
    ]


def pairs(rows: pd.DataFrame, name: str) -> list[dict[str, Any]]:
    """On how many prompts only the tuned model refuses, only the untuned one, both, or neither."""
    found = []
    by_prompt = rows.set_index(["n_safety", "prompt_set", "prompt"])[name].eq(True).sort_index()
    for n_safety in data.PAPER_RESPONSE_AMOUNTS[1:]:
        for prompt_set in data.PAPER_ANSWERED:
            untuned, tuned = (by_prompt.xs((n, prompt_set)) for n in (0, n_safety))
            tuned = tuned.loc[untuned.index]
            cases = {"tuned": tuned & ~untuned, "untuned": untuned & ~tuned, "both": tuned & untuned}
            counts = {case: int(where.sum()) for case, where in cases.items()}
            counts["neither"] = len(tuned) - sum(counts.values())
            found.append({"instrument": name, "prompt_set": prompt_set, "n_safety": n_safety} | counts)
    return found


def openings(rows: pd.DataFrame, name: str) -> list[dict[str, Any]]:
    """How the answers to safe prompts open in which an instrument finds no refusal."""
    found = []
    asked = rows[rows["prompt_set"] == "early XSTest"]
    for n_safety in data.PAPER_RESPONSE_AMOUNTS:
        group = asked[asked["n_safety"] == n_safety]
        left = group.loc[group[name].eq(False), "response"].str.lower().str.strip()
        counts = Counter(next((one for one in OPENINGS if text.startswith(one)), "other") for text in left)
        found.append({"instrument": name, "n_safety": n_safety} | {one: counts[one] for one in OPENINGS})
    return found


if __name__ == "__main__":
    main()
