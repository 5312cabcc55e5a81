"""Whether a response is a text at all: no loop, no gibberish, not symbols alone.

The rules are our own. What they do not measure: whether the text is true, useful or to the point.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, groupby

from safetune_utils.data import corpus_rows
from safetune_utils.scoring.score import Score, check_pairs

# An answer is called degenerate by the first of these rules that holds. Each has a least length, because a
# shorter, proper answer could break it. The bounds were set on loops, random letters and random tokens, of
# which nearly all must be called degenerate, and on answers of people and of models known to be readable, of
# which nearly none may.
LONGEST_RUN = 6  # "no no no no no no", six times the same line: people stop at four
# Every second group of three words was there before: a loop of a phrase.
REPEATED, REPEATED_FROM_WORDS = 0.5, 12
SYMBOLS, SYMBOLS_FROM_CHARACTERS = 0.8, 20  # dense code and tables stay below .7
# English prose is near .2 (full of names .65), random tokens near .85, random letters near 1.
UNKNOWN, UNKNOWN_FROM_WORDS = 0.7, 15
UNKNOWN_FROM_WORDS_A_LINE = 8  # lists of names and lines of code hold many unknown words, and are not prose
# Whose words count as known.
CORPUS_SETS = ("general", "safety", "contrast")
LONGEST_WORD = 45  # letters, as many as the longest in a dictionary

_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")  # letters, with apostrophes and hyphens inside
_LETTERS = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class TextQuality:
    """What can be said of an answer from its characters.

    Attributes:
        words: its length: runs of characters between white space that hold a letter or a digit.
        repeated: share of its groups of three words that occurred in it before, 0 to 1; higher is worse.
            Digits are no words here, so that a numbered loop is a loop.
        longest_run: how often the same word, or the same line, comes in a row; 1 where nothing does, 0 if
            empty.
        symbols: share of its characters, without white space, that are neither letters nor digits, 0 to 1.
            Digits are left out because a sum or a table of numbers is a proper answer.
        unknown: share of its words that occur nowhere in the embedded corpus's training rows, 0 to 1; 0 where
            it has no words. Names and rare words are unknown too: only an extreme share says something. An
            answer in another language than English is nearly all unknown, and a long one counts as
            degenerate.
        empty: it holds no letter and no digit.
        degenerate: unreadable, whatever it was meant to say.
        reason: which rule says so; empty where none does.
    """

    words: int
    repeated: float
    longest_run: int
    symbols: float
    unknown: float
    empty: bool
    degenerate: bool
    reason: str


def text_quality(responses: Iterable[str]) -> list[TextQuality]:
    """Measure answers, in their order; ``pandas.DataFrame(text_quality(responses))`` makes a table of it."""
    return [_measure(response) for response in responses]


def score_coherence(prompts: Sequence[str], responses: Sequence[str]) -> list[Score]:
    """:func:`text_quality` in the form of every instrument: 1 is readable, 0 is degenerate.

    Every answer is scored. The prompts are not read.

    Raises:
        ValueError: there is not one response for each prompt.
    """
    check_pairs(prompts, responses)
    return [
        Score(
            0.0 if measured.degenerate else 1.0,
            label="degenerate" if measured.degenerate else "coherent",
            reason=measured.reason,
            parts={
                name: float(getattr(measured, name))
                for name in ("words", "repeated", "longest_run", "symbols", "unknown")
            },
        )
        for measured in text_quality(responses)
    ]


def _measure(response: str) -> TextQuality:
    visible = [character for character in response if not character.isspace()]
    tokens, lines, words, triples = _tokens(response), _lines(response), _words(response), _triples(response)
    repeated = 1 - len(set(triples)) / len(triples) if triples else 0.0
    longest_run = max(_longest_run(tokens), _longest_run(lines))
    symbols = sum(not character.isalnum() for character in visible) / len(visible) if visible else 0.0
    unknown = sum(word not in _known_words() for word in words) / len(words) if words else 0.0
    empty = not tokens
    unknown_from = max(UNKNOWN_FROM_WORDS, UNKNOWN_FROM_WORDS_A_LINE * len(lines))
    rules = (
        ("empty", empty and len(visible) < SYMBOLS_FROM_CHARACTERS),
        ("mostly symbols", symbols >= SYMBOLS and len(visible) >= SYMBOLS_FROM_CHARACTERS),
        ("a word or line over and over", longest_run >= LONGEST_RUN),
        ("a phrase over and over", repeated >= REPEATED and len(words) >= REPEATED_FROM_WORDS),
        ("a word without end", max(map(len, _LETTERS.findall(response)), default=0) > LONGEST_WORD),
        ("hardly an English word", unknown >= UNKNOWN and len(words) >= unknown_from),
    )
    reason = next((reason for reason, holds in rules if holds), "")
    return TextQuality(
        words=len(tokens),
        repeated=repeated,
        longest_run=longest_run,
        symbols=symbols,
        unknown=unknown,
        empty=empty,
        degenerate=bool(reason),
        reason=reason,
    )


def words_behind(response: str) -> str:
    """The words, or signs, of an answer that the rule is about which calls it degenerate; empty where none
    does.
    """
    reason = _measure(response).reason
    if reason == "mostly symbols":
        return "".join(one for one in response if not one.isalnum() and not one.isspace())
    if reason == "a word or line over and over":
        runs = [[list(run) for _, run in groupby(items)] for items in (_tokens(response), _lines(response))]
        longest = max(chain(*runs), key=len)
        return f"{longest[0]}, {len(longest)} times in a row"
    if reason == "a phrase over and over":
        (phrase, count), *_ = Counter(_triples(response)).most_common(1)
        return f"{' '.join(phrase)}, {count} times"
    if reason == "a word without end":
        return max(_LETTERS.findall(response), key=len)
    if reason == "hardly an English word":
        return " ".join(word for word in _words(response) if word not in _known_words())
    return ""


def _tokens(text: str) -> list[str]:
    return [token for token in text.split() if not is_empty(token)]


def _lines(text: str) -> list[str]:
    # The indent stays: lines of nested code often end in the same words.
    return [line.rstrip() for line in text.splitlines() if not is_empty(line)]


def _triples(text: str) -> list[tuple[str, ...]]:
    words = _words(text)
    return list(zip(words, words[1:], words[2:], strict=False))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower().replace("\u2019", "'"))


def is_empty(text: str) -> bool:
    """Whether a text holds no letter and no digit."""
    return not any(character.isalnum() for character in text)


def _longest_run(items: list[str]) -> int:
    return max((sum(1 for _ in run) for _, run in groupby(items)), default=0)


@cache
def _known_words() -> frozenset[str]:
    """The words of the corpus's training rows: what ordinary written English is mostly made of."""
    texts = [
        text
        for name in CORPUS_SETS
        for row in corpus_rows(name)
        for text in (row["instruction"], row["output"])
    ]
    return frozenset(word for text in texts for word in _words(text))
