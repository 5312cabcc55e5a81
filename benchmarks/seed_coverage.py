"""How often the interval of a share over several seeds holds the share that all seeds would give.

A simulation, in which seeds differ as in the published runs. Writes ``data/results/seed_coverage.json``.

    python benchmarks/seed_coverage.py
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
from scipy import optimize, special

from safetune_utils.book.findings import published_folder
from safetune_utils.data.outputs import of_adapters
from safetune_utils.machine.files import write_text
from safetune_utils.places import data_folder
from safetune_utils.statistics import resampling

RUNS = ("pocket-seeds", "paper-sample")
N_SEEDS = (2, 3, 5, 10)
STUDIES = 1000  # of each kind
PROMPTS = 98
SHARES = (0.15, 0.5, 0.85)
SPREAD_OF_PROMPTS = 2.0  # standard deviation in log odds: some prompts are refused by nearly every model


def spread_of_seeds() -> float:
    """The standard deviation between the seeds' shares, over those shares that could differ.

    Every seed of a run answers the same prompts, so the choice of prompts is not in it; what is left of
    chance in single answers is, and makes the simulated seeds differ by a little too much rather than too
    little.
    """
    variances = []
    for run in RUNS:
        drawn = of_adapters(pd.read_csv(published_folder() / run / "01_safety_amount-safety_amount.csv"))
        by_seed = drawn[drawn["seed"] != "all"].pivot(
            index=["prompt_set", "n_safety"], columns="seed", values="share"
        )
        middle = by_seed[by_seed.mean(axis=1).between(0.1, 0.9)]
        variances += list(middle.var(axis=1))
    return float(np.sqrt(np.mean(variances)))


def in_log_odds(share: float, spread: float) -> tuple[float, float]:
    """The middle of the log odds that gives a share, and the spread of the seeds there that gives their
    shares a standard deviation of ``spread``.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(41)
    weights = weights / weights.sum()

    def shares(middle: float, of_seeds: float) -> np.ndarray:
        """Of each seed, over all prompts."""
        at = middle + of_seeds * nodes[:, None] + SPREAD_OF_PROMPTS * nodes
        return special.expit(at) @ weights

    def misses(point: np.ndarray) -> list[float]:
        found = shares(point[0], abs(point[1]))
        mean = float(found @ weights)
        return [mean - share, float(np.sqrt((found - mean) ** 2 @ weights)) - spread]

    middle, of_seeds = optimize.fsolve(misses, [special.logit(share), 0.5])
    return float(middle), abs(float(of_seeds))


def coverage(share: float, n_seeds: int, spread: float, rng: np.random.Generator) -> float:
    """The share of simulated studies whose interval holds the share of all seeds and prompts."""
    middle, of_seeds = in_log_odds(share, spread)
    held = 0
    for _ in range(STUDIES):
        odds = (
            middle
            + SPREAD_OF_PROMPTS * rng.normal(size=(PROMPTS, 1))
            + of_seeds * rng.normal(size=(1, n_seeds))
        )
        low, high = resampling.bootstrap_mean((rng.random(odds.shape) < special.expit(odds)).astype(float))
        held += low <= share <= high
    return held / STUDIES


def main() -> None:
    # A fifth of the resamples: the bounds are a little rougher, and the coverage the same.
    resampling.RESAMPLES = 1000
    spread, rng = spread_of_seeds(), np.random.default_rng(0)
    held: dict[int, list[float]] = {}
    for n_seeds in N_SEEDS:
        held[n_seeds] = [round(coverage(share, n_seeds, spread, rng), 3) for share in SHARES]
        print(n_seeds, held[n_seeds])
    result = {
        "made_by": "benchmarks/seed_coverage.py",
        "studies": STUDIES,
        "prompts": PROMPTS,
        "spread_of_seeds": round(spread, 3),
        "rows": [{"seeds": n, "shares": SHARES, "coverage": found} for n, found in held.items()],
    }
    for n, found in held.items():
        result[f"of_{n}_seeds"] = f"{min(found) * 100:.0f} to {max(found) * 100:.0f} %"
    write_text(data_folder() / "results" / "seed_coverage.json", json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
