"""The paper's own preference study, from the counts that it published."""

from __future__ import annotations

import numpy as np
import pandas as pd
import yaml

from safetune_utils import statistics
from safetune_utils.annotation.preference import ALL_SETS, OUTCOMES
from safetune_utils.annotation.tallies import counted
from safetune_utils.places import data_folder

_COUNTS = ["first_better", "second_better", "equally_good", "equally_bad"]


def paper_tallies() -> pd.DataFrame:
    """The paper's own study in the columns of :func:`~safetune_utils.annotation.tallies.tally`, from the
    counts in ``data/paper/human_study.yml``.

    Returns:
        One row for each comparison, set and annotator; ``n_safety``, how many safety examples the tuned model
        was trained on; ``kappa``, Cohen's κ of the two annotators over both sets of the comparison. The win
        rates and intervals are computed here from the counts. Nothing is pooled over the annotators, because
        it is not known on which prompts they agree.
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
                    "kind": "person",
                    "first": "tuned",
                    "second": "untuned",
                    **counted(outcomes),
                    "kappa": comparison["kappa"],
                }
            )
    return pd.DataFrame(rows)


def paper_agreement() -> pd.DataFrame:
    """How far the paper's two annotators agreed, as far as their counts and the κ in their files show it.

    For a single set the counts do not show on which prompts the two agreed, so only the least and the
    greatest κ that such counts can have are known. Over both sets κ is known, and together with the counts
    only one number of agreed prompts gives it.

    Returns:
        One row for each comparison and set, then one for both sets: ``n_safety, prompt_set, n``; ``agreed``,
        how many of the ``n`` prompts; ``kappa`` with its 95 % interval ``low, high``; ``kappa_least,
        kappa_most``. What is not known is missing.
    """
    rows: list[dict[str, object]] = []
    for (n_safety, kappa), comparison in paper_tallies().groupby(["n_safety", "kappa"]):
        counts = {
            name: part[_COUNTS].to_numpy() for name, part in comparison.groupby("prompt_set", sort=False)
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
        one, other = np.sum(list(counts.values()), axis=0)
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
                "kappa": kappa,
                "low": found.low,
                "high": found.high,
            }
        )
    columns = ["n_safety", "prompt_set", "n", "agreed", "kappa", "low", "high", "kappa_least", "kappa_most"]
    return pd.DataFrame(rows, columns=columns)
