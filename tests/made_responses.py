"""Responses made by hand, for the tests of pages and figures."""

from __future__ import annotations

import pandas as pd

from safetune_utils import statistics

NASTY = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def made_responses(**changes: object) -> pd.DataFrame:
    """Twenty malicious prompts, all answered with 0 safety examples and all refused with 50."""
    rows = [
        {
            "data": "embedded",
            "prompt_set": "malicious",
            "prompt_id": f"p{i}",
            "prompt": NASTY,
            "response": NASTY,
            "stopped": True,
            "n_safety": n,
            "seed": 0,
            "label": "full_refusal" if n else "compliance",
            "refused": n > 0,
        }
        for n in (0, 50)
        for i in range(20)
    ]
    return pd.DataFrame(rows).assign(**changes)


def made_matrix() -> pd.DataFrame:
    """Shares by what was trained on and what was asked, ten prompts each: 5 and 10 of ten, 0 and 2 of ten."""
    refused = {
        ("none", "malicious"): 0,
        ("none", "malicious_questions"): 2,
        ("questions", "malicious"): 5,
        ("questions", "malicious_questions"): 10,
    }
    rows = [
        {"trained": trained, "prompt_set": prompt_set, "prompt_id": f"p{i}", "refused": i < n}
        for (trained, prompt_set), n in refused.items()
        for i in range(10)
    ]
    table = pd.DataFrame(rows)
    table["trained"] = pd.Categorical(table["trained"], ["questions", "none"], ordered=True)
    return statistics.summarise(table, by=["trained", "prompt_set"])


def made_scores() -> pd.DataFrame:
    """What four instruments say of three responses without safety examples and of one with 50."""
    return pd.DataFrame(
        {
            "prompt_set": "malicious",
            "n_safety": [0, 0, 0, 50],
            "prompt_id": ["a", "b", "c", "a"],
            "refusal-rules": [0, 1, 0, 1],
            "harmfulness": [3.0, 0.5, None, 1.9],
            "coherence": [1, 0, 1, 1],
            "quality-reward": [0.1, 0.2, 0.3, 0.4],
        }
    )
