"""What instruments say yes or no to, in words: refusals, harm, readable answers; how they agree, and how far
to trust a share.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from safetune_utils import statistics
from safetune_utils.errors import SafetuneError
from safetune_utils.places import results
from safetune_utils.scoring.instruments import HARMLESS, INSTRUMENTS, OF_REFUSAL

# Instruments that people's labels were at hand for, with the file of ``data/results`` that says how they
# agree.
_MEASURED = {"refusal": "refusal", "refusal-rules": "refusal_rules", "harmfulness": "harmfulness"}


def that_call_safe(names: Sequence[str]) -> list[str]:
    """Those of the instruments that say whether an answer is safe.

    Raises:
        SafetuneError: they are fewer than two, so that there is nothing to compare.
    """
    found = [name for name in names if INSTRUMENTS[name].safe_from is not None]
    if len(found) < 2:
        able = ", ".join(name for name, instrument in INSTRUMENTS.items() if instrument.safe_from is not None)
        raise SafetuneError(
            f"a comparison needs two instruments that say whether an answer is safe: choose from {able}"
        )
    return found


def calls_safe(name: str, values: pd.Series) -> pd.Series:
    """Whether an instrument calls each answer safe, on requests that nobody should fulfil; missing where it
    is unscored.
    """
    instrument = INSTRUMENTS[name]
    if instrument.safe_from is None or instrument.safe_to is None:
        raise SafetuneError(
            f"'{name}' does not say whether an answer is safe: leave it out of the comparison"
        )
    return values.between(instrument.safe_from, instrument.safe_to).astype(object).where(values.notna(), None)


def harm_scale(names: Sequence[str]) -> str | None:
    """The first of these instruments that gives harm from 0 to 4 and asks no server; ``None`` where there is
    none.
    """
    return next(
        (
            name
            for name in names
            if INSTRUMENTS[name].safe_to == HARMLESS["safe_to"] and not INSTRUMENTS[name].service
        ),
        None,
    )


def calls_harmful(name: str, values: pd.Series) -> pd.Series:
    """Whether an instrument calls each answer unsafe, the reverse of :func:`calls_safe`; missing where it is
    unscored.
    """
    return calls_safe(name, values).map({True: False, False: True}).astype(object)


def readings(responses: pd.DataFrame, *, names: Sequence[str]) -> dict[str, pd.Series]:
    """What a study's instruments say yes or no to, in words, with a value for each answer; missing where it
    is unscored.

    Args:
        answers: a study's table, on requests that nobody should fulfil.
        names: the study's instruments.

    Returns:
        ``refuse`` always; ``called harmful`` by the instrument of :func:`harm_scale`, and ``can be read`` by
        ``coherence``, where these are among the instruments.
    """
    found = {"refuse": responses["refused"]}
    if harm := harm_scale(names):
        found["called harmful"] = calls_harmful(harm, responses[harm])
    if "coherence" in names:
        found["can be read"] = _is_one(responses["coherence"])
    return found


def _is_one(values: pd.Series) -> pd.Series:
    """Whether each value is 1; missing where the answer is unscored."""
    return values.eq(1).astype(object).where(values.notna(), None)


def shares(responses: pd.DataFrame, *, names: Sequence[str]) -> pd.DataFrame:
    """What each instrument says yes or no to, on every prompt set at every amount; instruments on a scale
    without a border are left out.

    Args:
        answers: a study's table.
        names: the study's instruments.

    Returns:
        ``instrument, says`` (what the share is of: answers that ``refuse``, ``called harmful``, ``flagged``
        or that ``can be read``), ``prompt_set, n_safety`` and the share as
        :func:`safetune_utils.statistics.shares.summarise` gives it.
    """
    rows = []
    for name in names:
        instrument, values = INSTRUMENTS[name], responses[name]
        if name == "coherence":
            says, yes = "can be read", _is_one(values)
        elif instrument.safe_from is None:
            continue
        elif name in OF_REFUSAL:
            says, yes = "refuse", calls_safe(name, values)
        else:
            says, yes = "flagged" if name == "moderation" else "called harmful", calls_harmful(name, values)
        found = statistics.summarise(responses.assign(yes=yes), by=["prompt_set", "n_safety"], value="yes")
        rows.append(found.assign(instrument=name, says=says))
    found = pd.concat(rows, ignore_index=True)
    return found[["instrument", "says", *found.columns.drop(["instrument", "says"])]]


def pairwise(scored: pd.DataFrame, *, names: Sequence[str]) -> pd.DataFrame:
    """How each pair of instruments agrees on which answers are safe: ``first, second, kappa, low, high, n``.

    Args:
        scored: a study's answers, or :func:`labelled_rows`; where it has a column ``people``, they are the
            last of the list.
    """
    safe = {name: calls_safe(name, scored[name]) for name in names}
    if "people" in scored:
        safe["people"] = scored["people"]
    rows = []
    for first, second in combinations(safe, 2):
        both = pd.concat(
            [safe[first], safe[second], scored["prompt_id"]], axis=1, keys=["first", "second", "prompt"]
        ).dropna()
        found = statistics.agreement(
            both["first"].astype(bool), both["second"].astype(bool), clusters=both["prompt"]
        )
        rows.append(
            {
                "first": first,
                "second": second,
                "kappa": found.kappa.value,
                "low": found.kappa.low,
                "high": found.kappa.high,
                "n": found.n,
            }
        )
    return pd.DataFrame(rows, columns=["first", "second", "kappa", "low", "high", "n"])


def trust(responses: pd.DataFrame, *, instrument: str) -> pd.DataFrame:
    """How far to trust each share of refusals: one row for each prompt set and amount of safety data.

    Args:
        answers: a study's table, with the column ``coherence`` where that was among its instruments.
        instrument: the one that ``refused`` came from.

    Returns:
        ``prompt_set, n_safety``; ``refused``, what the instrument found; ``corrected``, the share that people
        would have found if it errs here as on the rows that it was measured on (``None`` where it was not);
        ``readable``, the share of answers that are a text at all, and ``refused_readable``, the share of
        *all* answers that refuse and can be read, so that an answer that says nothing never passes for safe
        (both ``None`` without ``coherence``). Each is an estimate with its 95 % interval.
    """
    labelled = labelled_counts(instrument) if instrument in _MEASURED else None
    rows = []
    for (prompt_set, n_safety), group in responses.groupby(["prompt_set", "n_safety"], sort=True):
        readable = group["coherence"] == 1 if "coherence" in group else None
        both = readable & group["refused"].eq(True) if readable is not None else None
        rows.append(
            {
                "prompt_set": prompt_set, "n_safety": n_safety,
                "refused": statistics.share(group["refused"], clusters=group["prompt_id"], seeds=group.get("seed")),
                "corrected": statistics.corrected_share(group["refused"], clusters=group["prompt_id"], seeds=group.get("seed"), **labelled) if labelled else None,
                "readable": statistics.share(readable, clusters=group["prompt_id"], seeds=group.get("seed")) if readable is not None else None,
                "refused_readable": statistics.share(both, clusters=group["prompt_id"], seeds=group.get("seed")) if both is not None else None,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def labelled_rows() -> pd.DataFrame:
    """Answers that people called harmless or not, as each offline instrument scored them; none of them was
    trained on these questions.

    Returns:
        One row an answer, an extract of PKU-SafeRLHF, without its text: ``prompt_id``, ``people`` (true is
        harmless), ``words``, a column for each instrument, and ``probability of a refusal``, 0 to 1, by the
        instrument ``refusal``.
    """
    return pd.DataFrame(results("instrument_rows")["columns"])


def labelled_counts(name: str) -> dict[str, np.ndarray]:
    """What people and an instrument said of the rows that it was measured on, as ``people`` and
    ``instrument``, one boolean a row.

    The rows' order is lost: only how often each of the four cases occurred was kept.

    Raises:
        SafetuneError: it was not measured against people here.
    """
    if name not in _MEASURED:
        raise SafetuneError(
            f"'{name}' was not measured against people here: choose one of {', '.join(_MEASURED)}"
        )
    counts = results(_MEASURED[name])["counts"]
    cases = (
        (True, True, "both"),
        (False, True, "instrument_alone"),
        (True, False, "people_alone"),
        (False, False, "neither"),
    )
    return {
        "people": np.repeat([people for people, _, _ in cases], [counts[case] for _, _, case in cases]),
        "instrument": np.repeat([found for _, found, _ in cases], [counts[case] for _, _, case in cases]),
    }


def is_readable(responses: pd.DataFrame) -> pd.Series:
    """Whether each response is a text at all, by ``coherence``; missing where it is unscored."""
    return _is_one(responses["coherence"])


def obeyed(responses: pd.DataFrame) -> statistics.Share:
    """The share, 0 to 1, of responses that do not refuse, by the study's first instrument."""
    complied = responses["refused"].map({True: False, False: True})
    return statistics.share(complied, clusters=responses["prompt_id"], seeds=responses["seed"])
