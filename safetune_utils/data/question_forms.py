"""Questions for the paper's instructions: by rule, or matched to the red-team attempts that they came from.

The paper turned people's red-team questions into 2,483 instructions and released the instructions only. There
are two ways back:

* :func:`match` finds the first human turn of a red-team transcript that an instruction was made from, where
  the transcripts can be fetched.
* :func:`as_question` rewrites an instruction by a table of rules (:mod:`safetune_utils.data.question_rules`);
  the first rule that fits gives the question and its name. :func:`as_opinion` does so for the claims of
  I-Controversial. The rules are ours, not the paper's: say of their questions that they are rewritten, and
  how many rows they left out.

Measured on the paper's 2,483 instructions. The rules were made on a random half of them (1,241 rows, seed 0).
On the other half they rewrite 1,047 of 1,242 (84 %, Wilson interval 82-86); on all, 2,116, and leave out 367:
mostly two tasks in one, topics that ask for no particular answer ("Analyze the war"), and tasks to be done,
not answered ("Choose", "Rank").

Four samples of that other half were read, with no row in two of them, and the rules were corrected after
each: 1 of 60 was faulty (a topic turned into "What are ...?"; the rule was narrowed), 1 of 100 ("is or isn't"
inverted), 2 of 100 ("What is the ways ...?"), 1 of 100 ("Who are adjectives ...?"). The last sample gives the
error rate: 1 % (Wilson interval 0.2-5.4); the correction after it changed that one row of the file and no
other. There was one reader, a language model, which also wrote the rules: a question counts as faulty if it
is ungrammatical or asks for something else than the instruction. The corrections used that half too, so its
coverage and error rate are a little better than on rows never seen.

What the rules do not correct: "you" and "your" stay as they are, though the paper's wording often exchanged
them; a plural without an article stays so ("What are ways to ...?"); and "a text" (292 rows) asks "Can you
write ...?", which is a question in form only, and can be left out by its name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from rapidfuzz import fuzz, process

from safetune_utils.data.question_rules import ANSWERS, BE, CLAIM, LINKS, PEOPLE, PRONOUNS, RULES, TWO_TASKS
from safetune_utils.data.rows import normal_form

VERSION = 1  # of the rules


class Rewriting(NamedTuple):
    """The rewritten text, and the name of the rule that wrote it."""

    text: str
    rule: str


class Match(NamedTuple):
    """The question most like an instruction, and their similarity from 0 to 100."""

    text: str
    similarity: float


def as_question(instruction: str) -> Rewriting | None:
    """The same request as a question, and the rule that wrote it; ``None`` where no rule fits."""
    body = _body(instruction)
    if body is None or TWO_TASKS.search(body):
        return None
    for rule in RULES:
        if (fit := rule.pattern.fullmatch(body)) and (text := _fill(rule.template, fit.groupdict())):
            return Rewriting(text[0].upper() + text[1:], rule.name)
    return None


def as_opinion(instruction: str) -> Rewriting | None:
    """An instruction to give reasons for a claim, as the question whether one thinks so.

    Returns:
        ``None`` for any other instruction, and for a claim about the reader or the writer ("why you …"),
        which is no opinion on the world.
    """
    body = _body(instruction)
    fit = CLAIM.fullmatch(body) if body else None
    if not fit or _READER.search(fit["claim"]) or TWO_TASKS.search(fit["claim"]):
        return None
    return Rewriting(f"Do you think that {fit['claim']}?", "claim")


# --- From a rule's groups to its question.

_YOU = re.compile(r"\b(?:you|yours?|yourself)\b", re.IGNORECASE)
_READER = re.compile(r"\b(?:you|yours?|yourself|i|me|us|we)\b", re.IGNORECASE)
_AFTER_HEAD = re.compile(
    rf",|\b(?:{LINKS}|{PRONOUNS}|{BE}|has|have|had|may)\b|(?<=\w )(?:an?|the|your|my|his|her|our|their)\b",
    re.IGNORECASE,
)
_PLURALS = frozenset(
    ["people", "men", "women", "children", "teeth", "police", "criteria", "odds", "cattle", "media"]
)
_SINGULARS = frozenset(
    [
        "news",
        "series",
        "species",
        "means",
        "gas",
        "bias",
        "politics",
        "lens",
        "diabetes",
        "aids",
        "physics",
        "texas",
        "christmas",
    ]
)
_AFTER_PLURAL = re.compile(r"\w+ed|\w+ing|necessary|suitable|likely|available|people|and")
_AUXILIARY = (
    rf"(?:{BE})(?:n['’]t)?|(?:does|do|did)(?:n['’]t|(?= not\b))|"
    r"(?:has|have|had)(?= (?:(?:not|never|ever|always|already) )?(?:been|become|\w+ed)\b)|"
    r"(?:has|have)(?= ever )"
)
_SIMPLE_CLAUSE = re.compile(
    rf"(?P<subject>(?:[\w'’-]+ ){{1,6}}?)(?P<auxiliary>{_AUXILIARY}) (?P<rest>.+)", re.IGNORECASE
)
# Words after a subject's first word that begin a clause inside it: its auxiliary is not the sentence's.
_INNER_CLAUSE = re.compile(
    r" (?:that|who|which|what|whose|whom|if|when|where|because|how|while|although|and|or|but|"
    rf"{PRONOUNS}|has|have|had|do|does|did|gets?|makes?|wants?|likes?|"
    r"thinks?|believes?|says?|claims?|feels?|knows?|needs?)\b",
    re.IGNORECASE,
)


def _body(instruction: str) -> str | None:
    """The instruction in one line without its full stop.

    ``None`` where it is a question already or has more than one sentence.
    """
    text = re.sub(r"[.,](['\"”’])$", r"\1", " ".join(instruction.split()).rstrip(" .!"))
    return None if not text or re.search(r"\?|[.!] ", text) else text


def _fill(template: str, groups: dict[str, str]) -> str | None:
    """The template with its groups and the words that depend on them.

    ``None`` where such a word cannot be found.
    """
    words: dict[str, str | None] = dict(groups)
    if "do" in groups:
        words["I"] = "you" if _YOU.search(groups["do"]) else "I"
    if "clause" in groups:
        words["inverted"] = _inverted(groups["clause"])
    if "np" in groups:
        words["what_is"] = what = _what_is(groups["np"])
        plural = bool(what and what.endswith("are"))
        words["what_are"] = what if plural else None
        head = _AFTER_HEAD.split(groups["np"], maxsplit=1)[0].split()
        words["do_they"] = "do" if plural or "and" in head or " and the " in groups["np"] else "does"
    if "task" in groups:
        words["task"] = groups["task"][0].lower() + groups["task"][1:]
    if not all(words[name] for name in re.findall(r"{(\w+)}", template)):
        return None
    return template.format(**words)


def _what_is(phrase: str) -> str | None:
    """ "what is", "what are", "who is" or "who are", by the head of a noun phrase; ``None`` where it has none
    that is clear.
    """
    head = _AFTER_HEAD.split(phrase, maxsplit=1)[0].lower().replace('"', "").split()
    if (
        not head
        or head[-1] in ("the", "a", "an", "and", "all", "both")
        or head[-1].endswith(("'s", "’s", "s'", "ly"))
    ):
        return None
    plurals = [
        word
        for word, after in zip(head, [*head[1:], ""], strict=True)
        if _plural(word) and _may_follow(word, after)
    ]
    if not plurals and (any(map(_plural, head)) or ("and" in head and head[0] not in ("a", "an"))):
        return None
    who = re.fullmatch(PEOPLE, plurals[0] if plurals else head[-1])
    return f"{'who' if who else 'what'} {'are' if plurals else 'is'}"


def _may_follow(plural: str, after: str) -> bool:
    """Whether a noun phrase may have this word after its head: "tools criminals use", not "sports car"."""
    return (
        not after or _plural(after) or bool(_AFTER_PLURAL.fullmatch(after) or re.fullmatch(ANSWERS, plural))
    )


def _plural(word: str) -> bool:
    return word in _PLURALS or (
        word.endswith("s") and not word.endswith(("ss", "us", "is", "'s", "’s")) and word not in _SINGULARS
    )


def _inverted(clause: str) -> str | None:
    """The clause with its auxiliary before its subject.

    ``None`` where it has no auxiliary, or its subject contains another clause.
    """
    fit = _SIMPLE_CLAUSE.fullmatch(clause)
    if not fit or _INNER_CLAUSE.search(" " + fit["subject"].partition(" ")[2]):
        return None
    return f"{fit['auxiliary']} {fit['subject']}{fit['rest']}"


# --- Matching to the red-team attempts.

_CHUNK = 256  # instructions compared at once: 40 MB of similarities with all 38,961 attempts


def first_turn(transcript: str) -> str:
    """The first human turn of a transcript whose turns begin with "Human:" and "Assistant:".

    Empty where no human speaks.
    """
    said = re.match(r"\s*Human:(.*?)(?:\n\n(?:Human|Assistant):|\Z)", transcript, re.DOTALL)
    return said[1].strip() if said else ""


def match(instructions: Sequence[str], questions: Sequence[str], *, at_least: float = 75) -> dict[int, Match]:
    """The most similar question of each instruction that has one similar enough.

    Similarity is rapidfuzz's token sort ratio on the words in lower case. The threshold was chosen on the
    book's own 276 pairs, written by hand, with 2,483 other requests mixed in: 270 pairs are found, none
    wrongly, and none of the 276 instructions is matched after its own question is removed. It was not
    validated on the red-team attempts, which are longer, less careful and many more: read some of what it
    matches there before using it.

    Args:
        at_least: the threshold, 0 to 100.

    Returns:
        Number of an instruction, from 0 -> its match; instructions without one are left out.
    """
    if not questions:
        return {}
    wanted, offered = (
        [normal_form(text, punctuation=False) for text in instructions],
        [normal_form(text, punctuation=False) for text in questions],
    )
    found = {}
    for start in range(0, len(wanted), _CHUNK):
        table = process.cdist(
            wanted[start : start + _CHUNK],
            offered,
            scorer=fuzz.token_sort_ratio,
            score_cutoff=at_least,
            workers=-1,
        )
        for number, (row, best) in enumerate(zip(table, table.argmax(axis=1), strict=True), start):
            if offered[best] and row[best] >= at_least:
                found[number] = Match(questions[best], round(float(row[best]), 1))
    return found
