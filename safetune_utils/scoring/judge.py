"""A language model as a judge, on any server that speaks OpenAI's chat protocol.

What it measures: what one model says of an answer when given one of our rubrics. What it does not: the truth.
A judge has a taste of its own, prefers what it is shown first or what is longer, can be talked round by the
text that it judges, and may itself refuse; so its agreement with people belongs beside each of its results,
and :func:`position_bias` beside each comparison.

Rubrics, each a file of ``rubrics/``:

- ``harm``: 0 to 4, higher is more harmful.
- ``refusal``: ``compliance``, ``partial_refusal`` or ``full_refusal``; ``value`` is 1.0 for any refusal and
  0.0 for compliance.
- ``helpfulness``: 1 to 5, higher is better.
- ``pair``: which of two answers is better (:func:`compare`).

The texts to be judged are put between lines that they cannot contain, since each line is made from their own
hash, and the rubric says that they are data. That lowers the risk that a text gives the judge orders; it does
not end it.

Replies are recorded ones unless a service is given. A reply is read strictly: its last line is the rating, or
the row is unscored with the reason; nothing of a reply is repeated there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetune_utils.errors import SafetuneError
from safetune_utils.places import data_folder
from safetune_utils.scoring.rubric import (
    CLASSES,
    rating,
    request,
    wording,
)
from safetune_utils.scoring.score import NO_WORDS, Score, check_pairs, has_words
from safetune_utils.services import chat
from safetune_utils.services.requests import Reply, Request, Service
from safetune_utils.store import read_lines

UNSCORED = "unscored"
OUTCOMES = ("first", "second", "equally_good", "equally_bad")


@dataclass(frozen=True)
class Pair:
    """What the judge says of two answers, asked in both orders.

    Attributes:
        as_given: one of :data:`OUTCOMES`, or :data:`UNSCORED`, where the first answer was shown first.
        swapped: likewise where the second answer was shown first, and mapped back: ``first`` is still the
            first answer.
        reasons: why each of the two is unscored; empty where it is not.
    """

    as_given: str
    swapped: str
    reasons: tuple[str, str] = ("", "")

    @property
    def agree(self) -> bool | None:
        """Whether both orders give the same outcome; ``None`` where either is unscored."""
        return None if UNSCORED in (self.as_given, self.swapped) else self.as_given == self.swapped

    @property
    def outcome(self) -> str | None:
        """The outcome that both orders give; ``None`` where they differ or either is unscored."""
        return self.as_given if self.agree else None


@dataclass(frozen=True)
class PositionBias:
    """How often a judge that picks a side picks the answer shown first.

    Attributes:
        share: 0 to 1; one half is no bias, because each pair was shown in both orders; ``nan`` where no side
            was picked.
        low, high: 95 % interval, Wilson's (1927) as in statsmodels. The two verdicts on a pair are not
            independent, so it counts pairs and not verdicts, and is too wide rather than too narrow.
        n: verdicts that picked a side.
        n_pairs: pairs that these are about.
        n_ties: verdicts that called the answers equal.
        n_unscored: verdicts that are missing.
    """

    share: float
    low: float
    high: float
    n: int
    n_pairs: int
    n_ties: int
    n_unscored: int


def recorded_file() -> Path:
    """The recorded replies that come with the project: those of the embedded model to ``judge_items.jsonl``
    beside them.

    They show the form and are no judgement: that model always picks the answer shown second.
    """
    return data_folder() / "recorded" / "judge_replies.jsonl"


def check_recorded(prompts: Sequence[str]) -> None:
    """Check that there may be recorded replies about answers to these prompts, before the answers are there.

    Raises:
        SafetuneError: the recording holds none of the prompts, or it is not there.
    """
    path = recorded_file()
    if not path.is_file():
        raise SafetuneError(f"there are no recorded replies at {path}: ask live and record them")
    recorded = "".join(
        message["content"] for row in read_lines(path) for message in row["request"]["messages"]
    )
    if not any(prompt in recorded for prompt in prompts):
        raise SafetuneError(
            "a study asks no server, so a judge in it replays recorded replies, and those in "
            f"{path} are about other prompts: leave the judge out of instruments, and score the answers with "
            "`safetune score --scorer judge-… --base-url …` afterwards"
        )


def requests(
    prompts: Sequence[str], responses: Sequence[str], *, rubric: str, max_tokens: int = 128
) -> list[Request]:
    """What :func:`score` asks, one request for each answer that has words: to estimate a cost, or to record.

    Raises:
        SafetuneError: there is no such rubric, or it judges pairs.
        ValueError: there is not one response for each prompt.
    """
    check_pairs(prompts, responses)
    if rubric == "pair":
        raise SafetuneError("the rubric 'pair' judges two answers at once: use judge.compare")
    text = wording(rubric)
    texts = [
        {"prompt": prompt, "response": response}
        for prompt, response in zip(prompts, responses, strict=True)
        if has_words(response)
    ]
    return [request(text, one, max_tokens=max_tokens) for one in texts]


def score(
    prompts: Sequence[str],
    responses: Sequence[str],
    *,
    rubric: str,
    service: Service | None = None,
    cap_usd: float = 0.0,
    recorded: Path | None = None,
    max_tokens: int = 128,
    store: Path | None = None,
    progress: str = "",
) -> list[Score]:
    """The judge's rating of each answer, in their order.

    Args:
        prompts: what was asked.
        responses: the answers; one without words is unscored and not judged.
        rubric: ``harm``, ``refusal`` or ``helpfulness``.
        service: whom to ask; without it, recorded replies are replayed and nothing is asked.
        cap_usd: the most to spend, in US dollars. The estimate is compared with it before the first call; 0
            allows only free servers.
        recorded: a file of recorded replies, by default :func:`recorded_file`.
        max_tokens: the most tokens of a reply; one that was cut is unscored.
        store: the run store in which replies are kept, by default that of the study.
        progress: a caption for a progress bar; empty for none.

    Returns:
        ``value`` in the rubric's range, and ``label`` for ``refusal``. Unscored rows have their reason, which
        is :data:`~safetune_utils.scoring.rubric.JUDGE_REFUSED` where the judge itself refused.

    Raises:
        SafetuneError: no such rubric, a service and a recording both given, no recording of these rows, an
            estimate above the cap, no key, or the server refuses.
        ValueError: there is not one response for each prompt.
    """
    asked = requests(prompts, responses, rubric=rubric, max_tokens=max_tokens)
    replies = iter(
        _replies(asked, service=service, cap_usd=cap_usd, recorded=recorded, store=store, progress=progress)
    )
    return [_score(rubric, next(replies)) if has_words(response) else NO_WORDS for response in responses]


def replied(prompt: str, response: str, *, rubric: str, **settings: Any) -> Reply:
    """The reply that the rating of one answer was read from: a recorded or a stored one, so that it costs
    nothing where :func:`score` has asked for it.

    ``settings`` and the errors are those of :func:`score`.
    """
    given: dict[str, Any] = {"service": None, "cap_usd": 0.0, "recorded": None, "store": None, "progress": ""}
    (reply,) = _replies(requests([prompt], [response], rubric=rubric), **given | settings)
    return reply


def pair_requests(
    prompts: Sequence[str], first: Sequence[str], second: Sequence[str], *, max_tokens: int = 128
) -> list[Request]:
    """What :func:`compare` asks, two requests for each pair whose answers both have words: as given, then
    swapped.

    Raises:
        ValueError: there are not two answers for each prompt.
    """
    check_pairs(prompts, first)
    check_pairs(prompts, second)
    texts = []
    for prompt, one, other in zip(prompts, first, second, strict=True):
        if has_words(one) and has_words(other):
            texts += [
                {"prompt": prompt, "first": one, "second": other},
                {"prompt": prompt, "first": other, "second": one},
            ]
    text = wording("pair")
    return [request(text, shown, max_tokens=max_tokens) for shown in texts]


def compare(
    prompts: Sequence[str],
    first: Sequence[str],
    second: Sequence[str],
    *,
    service: Service | None = None,
    cap_usd: float = 0.0,
    recorded: Path | None = None,
    max_tokens: int = 128,
    store: Path | None = None,
    progress: str = "",
) -> list[Pair]:
    """Which of two answers is better, each pair asked in both orders; in the order of the prompts.

    Args:
        first, second: the answers of one model and of another; a pair with an answer without words is
            unscored.

    The other arguments and the errors are those of :func:`score`.
    """
    asked = pair_requests(prompts, first, second, max_tokens=max_tokens)
    replies = iter(
        _replies(asked, service=service, cap_usd=cap_usd, recorded=recorded, store=store, progress=progress)
    )
    pairs = []
    for one, other in zip(first, second, strict=True):
        if not (has_words(one) and has_words(other)):
            pairs.append(Pair(UNSCORED, UNSCORED, reasons=(NO_WORDS.reason,) * 2))
            continue
        as_given, why = _outcome(next(replies), swap=False)
        swapped, why_swapped = _outcome(next(replies), swap=True)
        pairs.append(Pair(as_given, swapped, reasons=(why, why_swapped)))
    return pairs


def position_bias(pairs: Sequence[Pair]) -> PositionBias:
    """How often the judge picked the answer that it was shown first, over both orders of all pairs."""
    # For each pair, whether the answer shown first was picked, in the verdicts that picked a side.
    picked = []
    for pair in pairs:
        verdicts_and_shown_first = ((pair.as_given, "first"), (pair.swapped, "second"))
        picked.append(
            [
                verdict == shown_first
                for verdict, shown_first in verdicts_and_shown_first
                if verdict in ("first", "second")
            ]
        )
    n, n_pairs = sum(map(len, picked)), sum(map(bool, picked))
    share = sum(map(sum, picked)) / n if n else float("nan")
    low = high = float("nan")
    if n:
        from statsmodels.stats.proportion import proportion_confint

        low, high = map(float, proportion_confint(share * n_pairs, n_pairs, method="wilson"))
    n_unscored = sum((pair.as_given, pair.swapped).count(UNSCORED) for pair in pairs)
    return PositionBias(
        share=share,
        low=low,
        high=high,
        n=n,
        n_pairs=n_pairs,
        n_ties=2 * len(pairs) - n - n_unscored,
        n_unscored=n_unscored,
    )


def _replies(
    asked: list[Request],
    *,
    service: Service | None,
    cap_usd: float,
    recorded: Path | None,
    store: Path | None,
    progress: str,
) -> list[Reply]:
    if service is None:
        return chat.replay(asked, path=recorded or recorded_file()) if asked else []
    if recorded is not None:
        raise SafetuneError(
            "a service and recorded replies are both given: give service to ask, or recorded to replay"
        )
    return chat.ask(asked, service=service, cap_usd=cap_usd, store=store, progress=progress)


def _score(rubric: str, reply: Reply) -> Score:
    value, reason = rating(rubric, reply)
    if value is None:
        return Score(None, reason=reason)
    if rubric in CLASSES:
        return Score(float(value != "compliance"), label=str(value))
    return Score(float(value))


def _outcome(reply: Reply, *, swap: bool) -> tuple[str, str]:
    """Which answer is better, in whatever order they were shown, and why that is not known."""
    value, reason = rating("pair", reply)
    if value is None:
        return UNSCORED, reason
    shown_first, shown_second = ("second", "first") if swap else ("first", "second")
    outcomes = {
        "a": shown_first,
        "b": shown_second,
        "both_good": "equally_good",
        "both_bad": "equally_bad",
    }
    return outcomes[str(value)], ""
