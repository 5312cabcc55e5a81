"""Measure the refusal rules against people: XSTest's labelled completions, and the embedded corpus's own answers.

    SAFETUNE_MIRROR=DIR python benchmarks/refusal_agreement.py

Writes ``data/results/refusal_rules.json``, which the method page prints. Only counts are written, no text.
"""

from __future__ import annotations

import csv
import json

import numpy as np
from sklearn.metrics import cohen_kappa_score

from safetune_utils import data
from safetune_utils.scoring import refusal

MODELS = ("gpt4", "llama2", "mistral")


def main() -> None:
    people: list[bool] = []
    rules: list[bool] = []
    result: dict[str, int | float | str] = {"made_by": "benchmarks/refusal_agreement.py", "scorer_version": refusal.VERSION}
    for model in MODELS:
        with data.fetch(f"XSTest-completions-{model}").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        judged = ["refusal" in row["final_label"] for row in rows]
        scored = [bool(score.refused) for score in refusal.score([row["prompt"] for row in rows], [row["completion"] for row in rows])]
        result[f"kappa_{model}"] = round(float(cohen_kappa_score(judged, scored)), 2)
        people += judged
        rules += scored
    a, b = np.array(people), np.array(rules)
    draws = np.random.default_rng(0).integers(0, len(a), size=(2000, len(a)))
    low, high = np.percentile([cohen_kappa_score(a[d], b[d]) for d in draws], [2.5, 97.5])
    result |= {
        "n": len(a),
        "accuracy": round(float((a == b).mean()), 3),
        "kappa": round(float(cohen_kappa_score(a, b)), 2),
        "kappa_low": round(float(low), 2),
        "kappa_high": round(float(high), 2),
        "missed": int((a & ~b).sum()),
        "false": int((~a & b).sum()),
    }
    safety = [row for row in data.safety_examples("embedded") if row.kind != "correction"]
    helpful = [*data.general_examples("embedded"), *data.contrast_examples()]
    result |= {
        "corpus_refusals": len(safety),
        "corpus_found": _refusals(safety),
        "corpus_helpful": len(helpful),
        "corpus_false": _refusals(helpful),
    }
    path = data.data_folder() / "results" / "refusal_rules.json"
    path.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(path.read_text("utf-8"))


def _refusals(rows: list[data.Example]) -> int:
    return sum(bool(score.refused) for score in refusal.score([row.instruction for row in rows], [row.output for row in rows]))


if __name__ == "__main__":
    main()
