"""How good is an answer? A reward model's verdict, and measures of the text alone that need no download.

*The reward model* is OpenAssistant's DeBERTa, the paper's instrument: :func:`score` gives its raw reward,
higher is better, without bounds. A reward means nothing by itself: compare two models on the same prompts
with :func:`win_rate`. It learned from people's preferences, so it prefers long and polite answers, and it
does not judge safety.

*The text alone*: :func:`~safetune_utils.scoring.coherence.text_quality` says whether an answer is readable at
all. It sees loops, empty answers, and letters or tokens thrown together; it does not see an answer that is
fluent and wrong, beside the point, or common words without sense
(:mod:`safetune_utils.training.reference_loss` sees some of that). A model that was damaged by training
refuses nothing and obeys nothing: :func:`safetune_utils.scoring.readings.trust` shows how much of a share is
such output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from safetune_utils.errors import SafetuneError
from safetune_utils.scoring import reward_model
from safetune_utils.scoring.score import NO_WORDS, Score, check_pairs, has_words

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from safetune_utils import statistics

REWARD_MODEL = "OpenAssistant/reward-model-deberta-v3-large-v2"


def score(
    prompts: Sequence[str],
    responses: Sequence[str],
    *,
    model: PreTrainedModel | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    device: str = "auto",
    batch_size: int = 16,
) -> list[Score]:
    """The reward of each answer, in the input's order: higher is better, unbounded.

    Prompt and answer are read as a pair, as the model was trained: ``[CLS] prompt [SEP] answer [SEP]``. Give
    the bare request, not the template around it. An answer without letters is unscored.

    Args:
        prompts, responses: what was asked, and one answer for each, in the same order.
        model, tokenizer: from :func:`safetune_utils.scoring.reward_model.load`; by default OpenAssistant's
            are loaded, on ``device`` (as in :func:`safetune_utils.machine.device.planned`).
        batch_size: rows at a time.

    Raises:
        SafetuneError: the model cannot be loaded.
        ValueError: there is not one response for each prompt.
    """
    check_pairs(prompts, responses)
    if model is None or tokenizer is None:
        model, tokenizer = reward_model.load(REWARD_MODEL, device=device)
    rows = [i for i, response in enumerate(responses) if has_words(response)]
    found = reward_model.score(
        [prompts[i] for i in rows],
        [responses[i] for i in rows],
        model=model,
        tokenizer=tokenizer,
        batch_size=batch_size,
    )
    scored = dict(zip(rows, found, strict=True))
    return [scored.get(i, NO_WORDS) for i in range(len(responses))]


class WinRate(NamedTuple):
    """How often the tuned model's answer is better; a tie counts half.

    Attributes:
        rate: 0 to 1, .5 is even, higher is better for the tuned model, with its 95 % interval; of so many
            prompts, or answers where a prompt was asked several times.
        wins, ties, losses: how many of these.
    """

    rate: statistics.Estimate
    wins: int
    ties: int
    losses: int

    @property
    def direction(self) -> str:
        """``better``, ``worse`` or ``not seen`` (.5 is within the interval)."""
        return {1: "better", -1: "worse", 0: "not seen"}[self.rate.side]


def win_rate(
    rewards_tuned: Sequence[float | None],
    rewards_untuned: Sequence[float | None],
    *,
    prompts: Sequence[str] | None = None,
    tie_margin: float = 0.0,
) -> WinRate:
    """Share of prompts on which the tuned model's answer has the higher reward; a tie counts half.

    Args:
        rewards_tuned, rewards_untuned: one reward a prompt, of the same prompts in the same order; ``None``
            or ``nan`` where an answer is unscored. Such a prompt is left out and counted as unscored:
            an empty answer wins and loses nothing here, so read the share of unreadable answers beside it.
        prompts: ids of the prompts, where a prompt occurs more than once (several seeds): its rewards are not
            independent.
        tie_margin: rewards that differ by no more than this are a tie.

    Returns:
        WinRate: with a 95 % percentile bootstrap over prompts, from a fixed random state; where every prompt
        came out alike a bootstrap would have no width, and the interval is Wilson's.

    Raises:
        ValueError: the two lists of rewards differ in length.
        SafetuneError: ``tie_margin`` is below 0.
    """
    if len(rewards_tuned) != len(rewards_untuned):
        raise ValueError(
            f"{len(rewards_tuned)} and {len(rewards_untuned)} rewards: "
            "give both models' rewards on the same prompts"
        )
    if tie_margin < 0:
        raise SafetuneError(f"tie_margin is {tie_margin}: give 0 or more")
    # None becomes nan.
    difference = np.array(rewards_tuned, dtype=float) - np.array(rewards_untuned, dtype=float)
    points = np.where(difference > tie_margin, 1.0, np.where(difference < -tie_margin, 0.0, 0.5))
    scores = pd.Series(np.where(np.isnan(difference), np.nan, points))
    from safetune_utils import statistics

    rate = statistics.win_rate(scores, clusters=None if prompts is None else pd.Series(list(prompts)))
    return WinRate(rate, *(int((scores == point).sum()) for point in (1.0, 0.5, 0.0)))
