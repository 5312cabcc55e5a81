"""The paper's own preference study, from the counts that it published."""

from __future__ import annotations

import numpy as np
import pandas as pd
import yaml

from safetune_utils import statistics
from safetune_utils.annotation.preference import ALL_SETS, OUTCOMES
from safetune_utils.annotation.tallies import counted
from safetune_utils.places import data_folder


def paper_tallies() -> pd.DataFrame:
    """The paper's own study in the columns of :func:`tally`, from the counts in
    ``data/paper/human_study.yml``.

    Returns:
        One row for each comparison, set and annotator; ``n_safety``, how many safety examples the tuned model
        saw; ``kappa``, the two annotators' over both sets of the comparison. The win rates and intervals are
        worked out here from the counts. Nothing is pooled over the annotators: which prompts they agree on is
        not known.
    """
    path = data_folder() / "paper" / "human_study.yml"
    rows = []
    for comparison in yaml.safe_load(path.read_text("utf-8"))["comparisons"]:
        for entry in comparison["tallies"]:
            counts = {"first": entry["tuned_better"], "second": entry["untuned_better"]} | {
                name: entry[name] for name in OUTCOMES[2:]
            }
            outcomes = pd.Series([name for name, count in counts.items() for _ in range(count)], dtype=object)
            rows.append(
                {
                    "n_safety": comparison["n_safety"],
                    "prompt_set": entry["prompt_set"],
                    "annotator": f"annotator {entry['annotator']}",
                }
                | {"kind": "person", "first": "tuned", "second": "untuned"}
                | counted(outcomes)
                | {"kappa": comparison["kappa"]}
            )
    return pd.DataFrame(rows)


def paper_agreement() -> pd.DataFrame:
    """How far the paper's two annotators agreed, as far as their counts and the κ in their files tell.

    For one set alone the counts do not tell on which prompts the two agreed: there are only the least and the
    greatest κ that such counts can have. Over both sets κ is known, and with the counts only one number of
    agreed prompts gives it.

    Returns:
        ``n_safety, prompt_set, n``; ``agreed``, prompts of n; ``kappa, low, high``; ``kappa_least,
        kappa_most``. What is not known is missing.
    """
    rows = []
    for (n_safety, kappa), comparison in paper_tallies().groupby(["n_safety", "kappa"]):
        columns = ["first_better", "second_better", "equally_good", "equally_bad"]
        counts = {
            name: part[columns].to_numpy() for name, part in comparison.groupby("prompt_set", sort=False)
        }
        for name, (one, other) in counts.items():
            least, most = max(0, (one + other).max() - one.sum()), np.minimum(one, other).sum()
            bounds = [
                statistics.kappa_from_margins(one, other, agreed=int(agreed)).value
                for agreed in (least, most)
            ]
            rows.append(
                {
                    "n_safety": n_safety,
                    "prompt_set": name,
                    "n": int(one.sum()),
                    "kappa_least": bounds[0],
                    "kappa_most": bounds[1],
                }
            )
        one, other = sum(counts.values())
        fitting = [
            found
            for agreed in range(int(one.sum()) + 1)
            if round((found := statistics.kappa_from_margins(one, other, agreed=agreed)).value, 2) == kappa
        ]
        (found,) = fitting
        rows.append(
            {
                "n_safety": n_safety,
                "prompt_set": ALL_SETS,
                "n": found.n,
                "agreed": round(found.agreed * found.n),
            }
            | {"kappa": kappa, "low": found.low, "high": found.high}
        )
    return pd.DataFrame(
        rows,
        columns=[
            "n_safety",
            "prompt_set",
            "n",
            "agreed",
            "kappa",
            "low",
            "high",
            "kappa_least",
            "kappa_most",
        ],
    )
