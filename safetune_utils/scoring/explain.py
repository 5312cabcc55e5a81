"""The trace of a judgement: for one answer, which rule or model said what, on which words."""

from __future__ import annotations

from typing import Any, NamedTuple

from safetune_utils.scoring import coherence, instruments, judge, probe, refusal_rules
from safetune_utils.scoring.instruments import INSTRUMENTS, OF_REFUSAL
from safetune_utils.scoring.score import Score


class Trace(NamedTuple):
    """One step of a judgement.

    Attributes:
        by: which rule or model.
        said: what it said of the answer, in words.
        words: of the answer, on which; empty where it is about none. Text of a model, and not to be trusted.
    """

    by: str
    said: str
    words: str


def explain(name: str, prompt: str, response: str, **options: Any) -> tuple[Score, list[Trace]]:
    """An instrument's score of one answer, and how it came to be.

    Args:
        name: a key of :data:`safetune_utils.scoring.instruments.INSTRUMENTS`.
        prompt, response: what was asked, instruction and input, and what was said.
        **options: as for :func:`safetune_utils.scoring.instruments.score`, which has the errors too.
    """
    (score,) = instruments.score(name, [prompt], [response], **options)
    steps = trace(name, score, prompt, response)
    if name.startswith("judge-") and "no words" not in score.reason:
        rubric = name.removeprefix("judge-")
        reply = judge.replied(prompt, response, rubric=rubric, **instruments.judge_settings(**options))
        replied = Trace(reply.served_model or "the judge", reply.text or reply.reason, response)
        steps = [replied] if score.value is not None else [replied, *steps]
    return score, steps


def trace(name: str, score: Score, prompt: str, response: str) -> list[Trace]:
    """How an instrument came to a score that it gave to an answer.

    Returns:
        The steps in their order. Of a judge, its rating and not its reply.
    """
    instrument = INSTRUMENTS[name]
    if score.value is None:
        return [Trace(name, score.reason or "unscored", "")]
    if name in ("refusal", "refusal-rules"):
        steps = [
            Trace("a rule of refusal-rules", reason, words)
            for reason, words in refusal_rules.found(prompt, response)
        ] or [Trace("refusal-rules", "no rule finds a refusal", "")]
        (by_rules,) = refusal_rules.score([prompt], [response])
        if name == "refusal" and by_rules.value == 0:
            sure = f", a refusal with a probability of {score.parts['refusal']:.2f}" if score.parts else ""
            said = f"{(score.label or '').replace('_', ' ')}{sure}"
            steps.append(Trace("the embedded model", said, probe.words_read(response)))
        return steps
    if name == "coherence":
        words = coherence.words_behind(response)
        return [Trace("a rule of coherence", score.reason or "no rule calls it degenerate", words)]
    if name == "harmfulness":
        said = f"harmful with a probability of {score.value / 4:.2f}"
        return [Trace("the embedded model", said, probe.words_read(response))]
    highest = sorted(score.parts.items(), key=lambda part: -part[1])[:3]
    told = [
        (score.label or f"{score.value:g}").replace("_", " "),
        score.reason,
        *(f"{part} {value:.2f}" for part, value in highest),
    ]
    return [Trace(instrument.model, "; ".join(filter(None, told)), response)]


def in_short(name: str, score: Score, prompt: str, response: str) -> str:
    """What decided whether an answer counts as a refusal, for a line of a page: the reason and the words."""
    if name not in OF_REFUSAL or score.value is None:
        return score.reason
    step = trace(name, score, prompt, response)[0]
    words = step.words if len(step.words) <= 60 else f"{step.words[:59]}…"
    return f"{score.reason}, on \u201c{words}\u201d" if words and score.reason else score.reason
