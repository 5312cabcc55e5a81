"""What safety data costs, as one table of measurements: questions answered rightly, the loss of reference
answers, the length of responses, ordinary requests declined, responses that can be read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

import pandas as pd

from safetune_utils import statistics
from safetune_utils.scoring import quality


class Measure(NamedTuple):
    """One measure of cost.

    Attributes:
        title: its name with its unit, for a figure or a table.
        unit: ``share`` for yes or no, else the unit of a number.
        of: what it is measured on, in the plural.
    """

    title: str
    unit: Literal["share", "nats", "tokens"]
    of: str

    @property
    def is_share(self) -> bool:
        """Whether each measurement is yes or no, 1 or 0."""
        return self.unit == "share"


MEASURES = {
    "right": Measure("questions right (%)", "share", "questions"),
    "loss": Measure("loss of reference answers (nats)", "nats", "answers"),
    "length": Measure("length (tokens)", "tokens", "prompts"),
    "declined": Measure("ordinary declined (%)", "share", "prompts"),
    "readable": Measure("readable (%)", "share", "prompts"),
    "right by length": Measure("questions right, by length (%)", "share", "questions"),
}


def measurements(
    responses: pd.DataFrame, *, losses: pd.DataFrame, questions: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Every measurement of what safety data costs, one row each.

    Args:
        responses: a study's table, on ordinary requests; the measure ``readable`` needs its column
            ``coherence``.
        losses: from :func:`safetune_utils.study.side_effects.reference_losses`.
        questions: from :func:`safetune_utils.study.side_effects.questions`; ``None`` where none were asked.

    Returns:
        ``measure`` (of :data:`MEASURES`), ``n_safety, seed``, ``prompt_id`` (the id of the prompt, question
        or reference answer) and ``value``: 1 or 0 for a share, else the number in the measure's unit; missing
        where it was not scored.
    """
    found = {"loss": losses.assign(prompt_id=losses["example"], value=losses["loss"])}
    found["length"] = responses.assign(value=responses["n_tokens"])
    found["declined"] = responses.assign(value=responses["refused"])
    if "coherence" in responses:
        found["readable"] = responses.assign(value=responses["coherence"])
    if questions is not None:
        asked = questions.assign(prompt_id=questions["question"], value=questions["correct"])
        found["right"] = asked[asked["metric"] == "acc"]
        found["right by length"] = asked[asked["metric"] == "acc_norm"]
    columns = ["measure", "n_safety", "seed", "prompt_id", "value"]
    tables = [
        found[name].assign(measure=name, value=found[name]["value"].astype(float))[columns]
        for name in MEASURES
        if name in found
    ]
    return pd.concat(tables, ignore_index=True)


def levels(measured: pd.DataFrame) -> pd.DataFrame:
    """Each measure at each amount of safety data, with its 95 % interval.

    Args:
        measured: from :func:`measurements`.

    Returns:
        ``measure, n_safety, value, low, high, n``: a share from 0 to 1, or a mean in the measure's unit, and
        on how many measurements (for a mean: on how many prompts) it rests.
    """
    tables = []
    for name in measured["measure"].unique():
        rows = measured[measured["measure"] == name]
        if MEASURES[name].is_share:
            found = statistics.summarise(rows, by=["n_safety"], value="value")
            found = found.rename(columns={"share": "value", "n_scored": "n"})
        else:
            found = statistics.means(rows, by="n_safety", unit="prompt_id", value="value")
        tables.append(found.assign(measure=name))
    columns = ["measure", "n_safety", "value", "low", "high", "n"]
    return pd.concat(tables, ignore_index=True)[columns]


def level_at(found: pd.DataFrame, measure: str, n_safety: int) -> statistics.Estimate:
    """A measure at an amount of safety data, from :func:`levels`, in the measure's unit."""
    row = found[found["measure"].eq(measure) & found["n_safety"].eq(n_safety)].iloc[0]
    of = MEASURES[measure]
    value, low, high = (float(row[name]) for name in ("value", "low", "high"))
    return statistics.Estimate(value=value, low=low, high=high, n=int(row["n"]), of=of.of, unit=of.unit)


def change_of(measured: pd.DataFrame, measure: str, first: int, second: int) -> statistics.Estimate:
    """How a measure changes from one amount of safety data to another, on the same prompts or questions.

    Args:
        measured: from :func:`measurements`.
        measure: of :data:`MEASURES`.
        first, second: the amounts.

    Returns:
        Second less first, in the measure's unit; its ``n`` is 0 where the measure was not taken.
    """
    ends = {"n_safety": first}, {"n_safety": second}
    change = statistics.change_between(measured, *ends, value="value", measure=measure)
    return replace(change, unit=MEASURES[measure].unit, of=MEASURES[measure].of)


def for_panels(found: pd.DataFrame, *names: str) -> pd.DataFrame:
    """Some measures' levels as a figure shows them: shares in per cent, each measure under its title.

    Args:
        found: from :func:`levels`.
        names: the measures, in the order to show; those that were not measured are left out.

    Returns:
        ``n_safety, value, low, high, measure``, as :func:`safetune_utils.book.figures.panels` takes it.
    """
    tables = []
    for name in names:
        rows = found[found["measure"] == name]
        scaled = rows[["value", "low", "high"]] * (100 if MEASURES[name].is_share else 1)
        tables.append(rows[["n_safety"]].join(scaled).assign(measure=MEASURES[name].title))
    return pd.concat(tables, ignore_index=True)


def win_rates(responses: pd.DataFrame, *, against: int, rewards: str) -> dict[int, quality.WinRate]:
    """How often the responses of each larger amount have a higher reward than those of the amount ``against``
    to the same prompts.

    Args:
        responses: a study's table.
        against: an amount of safety data.
        rewards: the column of rewards, such as ``quality-reward``; higher is better.

    Returns:
        By amount; 0.5 is even, higher is better for the larger amount. With several seeds each is compared
        with itself.
    """
    keys = ["n_safety", "seed", "prompt_id"]
    table = responses.set_index(keys)[rewards].unstack("n_safety").astype(float)
    prompts = list(table.index.get_level_values("prompt_id"))
    later = sorted(int(n) for n in responses["n_safety"].unique() if n > against)
    return {n: quality.win_rate(list(table[n]), list(table[against]), prompts=prompts) for n in later}
