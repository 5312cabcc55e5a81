"""Which topics a study's safety examples are on, and which of its prompts these examples cover."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

import pandas as pd

from safetune_utils.study.mixes import safety_rows
from safetune_utils.study.study import Study

NO_TOPIC = "no topic named"
COVERED, UNCOVERED, UNKNOWN = "covered", "in no safety example", "not known"


def examples_by_topic(study: Study) -> dict[int, Counter[str]]:
    """How many safety examples are on each topic, in the mix of each amount with the study's first seed.

    Returns:
        A counter for each amount; it gives 0 for a topic that no example is on. Examples without a topic are
        not counted.
    """
    runs = [run for run in study.runs if run.seed == study.settings.seeds[0]]
    return {run.n_safety: Counter(row.topic for row in safety_rows(study, run) if row.topic) for run in runs}


def with_cover(responses: pd.DataFrame, *, topics: Collection[str]) -> pd.DataFrame:
    """Responses with what their topic is to the training data.

    Args:
        responses: a study's table.
        topics: those that safety examples are on.

    Returns:
        The same rows. ``topic`` is :data:`NO_TOPIC` where the prompt names none. A new column ``cover`` is
        ``covered`` or ``in no safety example``; it is ``not known`` where the prompt names no topic, and
        everywhere where no prompt has a topic in common with the examples: then the two do not use the same
        names.
    """
    named = responses["topic"].replace("", NO_TOPIC)
    covered = named.isin(list(topics))
    cover = covered.map({True: COVERED, False: UNCOVERED if covered.any() else UNKNOWN})
    return responses.assign(topic=named, cover=cover.mask(named == NO_TOPIC, UNKNOWN))
