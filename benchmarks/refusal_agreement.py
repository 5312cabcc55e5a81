"""Measure the refusal rules against people: XSTest's labelled completions, and the embedded corpus's own
answers.

    SAFETUNE_MIRROR=DIR python benchmarks/refusal_agreement.py

Writes ``data/results/refusal_rules.json``, which the method page prints. Only counts are written, no text.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from safetune_utils import data, places, statistics
from safetune_utils.scoring import refusal_rules
from safetune_utils.scoring.measured import agreement_with_people


def main() -> None:
    rows = data.xstest_completions()
    people = np.array([row.label != "compliance" for row in rows])
    rules = np.array(
        [
            bool(score.value)
            for score in refusal_rules.score([row.prompt for row in rows], [row.response for row in rows])
        ]
    )
    models = np.array([row.model for row in rows])
    both = [row for row in rows if all(row.annotators)]
    first, second = (np.array([row.annotators[i] != "compliance" for row in both]) for i in (0, 1))
    agreement: dict[str, Any] = {
        "all": agreement_with_people(people, rules, rows),
        "people": agreement_with_people(first, second, both),
    }
    for model in data.XSTEST_MODELS:
        inside = models == model
        agreement[model] = agreement_with_people(
            people[inside], rules[inside], [row for row in rows if row.model == model]
        )
    kappa = agreement["all"]["kappa"]
    result: dict[str, Any] = {
        "made_by": "benchmarks/refusal_agreement.py",
        "scorer_version": refusal_rules.VERSION,
    }
    result |= {f"kappa_{model}": round(agreement[model]["kappa"][0], 2) for model in data.XSTEST_MODELS}
    counts = statistics.case_counts(people, rules)
    result |= {
        "n": len(rows),
        "accuracy": round(agreement["all"]["accuracy"][0], 3),
        "kappa": round(kappa[0], 2),
        "kappa_low": round(kappa[1], 2),
        "kappa_high": round(kappa[2], 2),
        "missed": counts["people_alone"],
        "false": counts["instrument_alone"],
        "counts": counts,
        "agreement": agreement,
    }
    safety = [row for row in data.safety_examples("embedded") if row.kind != "correction"]
    helpful = [*data.general_examples("embedded"), *data.contrast_examples()]
    result |= {
        "corpus_refusals": len(safety),
        "corpus_found": _refusals(safety),
        "corpus_helpful": len(helpful),
        "corpus_false": _refusals(helpful),
    }
    path = places.data_folder() / "results" / "refusal_rules.json"
    path.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(path.read_text("utf-8"))


def _refusals(rows: list[data.Example]) -> int:
    return sum(
        bool(score.value)
        for score in refusal_rules.score([row.instruction for row in rows], [row.output for row in rows])
    )


if __name__ == "__main__":
    main()
