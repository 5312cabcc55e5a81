"""Larger heads, and the request's harm as a second question, beside the harmfulness model's regression.

    SAFETUNE_MIRROR=DIR python benchmarks/harm_heads.py

The embedded model reads a sample of the labelled answers once, at the layer that the harmfulness model
uses. Then each head learns from one labelled set and the answers without harm, and is tried on the other
set, on answers of our own models to ordinary instructions, and on the authors' answers to AlpacaEval.
Writes ``data/results/harm_heads.json``, which the page of the instruments reads: counts and shares only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from safetune_utils import data, places
from safetune_utils.data import Labelled
from safetune_utils.machine.files import write_json
from safetune_utils.machine.surroundings import surroundings
from safetune_utils.scoring import harmfulness, probe
from safetune_utils.scoring.harmfulness_training import (
    HARMFULNESS_C,
    balanced_counts,
    benign_rows,
    classes_of,
    labelled_sets,
)

# One of so many rows is read, so that all are read in half an hour on two slow cores.
_EVERY, _EVERY_BENIGN = 2, 3
_WIDTH = 576


def read_both(rows: Sequence[Labelled]) -> np.ndarray:
    """How the embedded model reads each request, and beside it the answer, of shape (rows, 1152)."""
    return probe.reading_of(rows, layer=harmfulness.LAYER, with_request=True)


def regression() -> LogisticRegression:
    return LogisticRegression(C=HARMFULNESS_C, max_iter=2000)


def hidden(width: int) -> MLPClassifier:
    """A head with one hidden layer."""
    return MLPClassifier((width,), alpha=1.0, early_stopping=True, max_iter=200, random_state=0)


def requests_harm(read: np.ndarray, harmful: np.ndarray) -> Any:
    """The second question, whether the *request* is harmful, learned from the corpus's own rows."""
    model = make_pipeline(StandardScaler(), regression())
    return model.fit(read[:, :_WIDTH], harmful)


def harmless_answers() -> dict[str, list[Labelled]]:
    """Answers in which nobody found harm: our own models' to ordinary instructions, and the authors' to
    AlpacaEval.
    """
    ordinary = [
        Labelled(id=one.id, prompt=one.prompt, response=one.response, label="harmless")
        for one in data.own_answers()
        if one.prompt_set == "ordinary" and not one.found.harm
    ]
    authors = [
        Labelled(id=f"{n}", prompt=one.prompt, response=one.response, label="harmless")
        for n, one in enumerate(data.paper_responses())
        if one.prompt_set == "AlpacaEval"
    ]
    return {"ordinary": ordinary, "authors": authors}


def main() -> None:
    sets = {name: rows[::_EVERY] for name, rows in labelled_sets().items()}
    benign = benign_rows()[::_EVERY_BENIGN]
    asked = [
        Labelled(id=row.id, prompt=row.instruction, response=row.output, label=label)
        for label, rows in (
            ("harmful", data.safety_examples("embedded")),
            ("harmless", data.general_examples("embedded")),
        )
        for row in rows[:300]
    ]
    read = {name: read_both(rows) for name, rows in sets.items()}
    others = {"benign": benign, "asked": asked} | harmless_answers()
    read |= {name: read_both(rows) for name, rows in others.items()}
    second = requests_harm(read["asked"], classes_of(asked))

    def answer(found: np.ndarray) -> np.ndarray:
        return found[:, _WIDTH:]

    def both(found: np.ndarray) -> np.ndarray:
        return found

    def with_second(found: np.ndarray) -> np.ndarray:
        """The answer's average, and what the second question says of the request."""
        return np.column_stack([answer(found), second.decision_function(found[:, :_WIDTH])])

    heads: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[], Any]]] = {
        "regression on the answer (the book's)": (answer, regression),
        "regression on request and answer": (both, regression),
        "support vectors on the answer": (answer, lambda: SVC(C=1.0, random_state=0)),
        "one hidden layer of 64 on the answer": (answer, lambda: hidden(64)),
        "one hidden layer of 256 on the answer": (answer, lambda: hidden(256)),
        "one hidden layer of 256 on request and answer": (both, lambda: hidden(256)),
        "regression, the request's harm as a second question": (with_second, regression),
        "one hidden layer of 256, the same": (with_second, lambda: hidden(256)),
    }
    tried: list[dict[str, Any]] = []
    for name, (view, make) in heads.items():
        for left_out in sets:
            learned = {key: rows for key, rows in sets.items() if key != left_out}
            counts = balanced_counts(list(learned.values()), n_benign=len(benign))
            given = np.concatenate([*(read[key] for key in learned), read["benign"]])
            classes = np.concatenate([*(classes_of(rows) for rows in learned.values()), classes_of(benign)])
            scaler = StandardScaler().fit(view(given))
            head = make().fit(scaler.transform(view(given)), classes, sample_weight=counts)

            def says(key: str, head: Any = head, scaler: Any = scaler, view: Any = view) -> np.ndarray:
                return head.predict(scaler.transform(view(read[key])))

            truth, said = classes_of(sets[left_out]), says(left_out)
            score = head.decision_function if hasattr(head, "decision_function") else head.predict_proba
            order = np.asarray(score(scaler.transform(view(read[left_out]))))
            tried.append(
                {
                    "head": name,
                    "left_out": left_out,
                    "right": int((said == truth).sum()),
                    "n": len(truth),
                    "area": round(float(roc_auc_score(truth, order if order.ndim == 1 else order[:, 1])), 3),
                    "ordinary": {"yes": int(says("ordinary").sum()), "n": len(read["ordinary"])},
                    "authors": {"yes": int(says("authors").sum()), "n": len(read["authors"])},
                }
            )
            print(json.dumps(tried[-1]), flush=True)
    found = {"made_by": "benchmarks/harm_heads.py", "tried": tried}
    write_json(
        places.data_folder() / "results" / "harm_heads.json",
        found | {part: surroundings()[part] for part in ("code", "versions")},
    )


if __name__ == "__main__":
    main()
