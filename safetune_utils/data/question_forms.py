"""Questions for the paper's instructions: by rule, or matched to the red-team attempts that they came from.

The paper turned people's red-team questions into 2,483 instructions and released the instructions only. Two
ways back:

* :func:`match` finds the first human turn of a red-team transcript that an instruction was made from, where
the
  transcripts are at hand.
* :func:`as_question` rewrites an instruction by a table of rules, read from the top; the first that fits
gives the
  question and its name. :func:`as_opinion` does so for the claims of I-Controversial. The rules are ours, not
  the paper's: mark what they write as rewritten, and show how many rows they left out.

Measured on the paper's 2,483 instructions. The rules were made on a random half of them (1,241 rows, seed 0).
On the other half they rewrite 1,047 of 1,242 (84 %, Wilson interval 82-86); on all, 2,116, and leave out 367:
mostly two tasks in one, topics that ask for no particular answer ("Analyze the war"), and tasks to be done,
not answered ("Choose", "Rank").

Four samples of that other half were read, none of a row read before, with a mend after each: 1 of 60 faulty
(a topic turned into "What are ...?"; the rule was narrowed), 1 of 100 ("is or isn't" inverted), 2 of 100
("What is the ways ...?"), 1 of 100 ("Who are adjectives ...?"). The last sample gives the error rate: 1 %
(Wilson interval 0.2-5.4); the mend after it changed that one row of the file and no other. There was one
reader, a language model, who also wrote the rules: a question counts as faulty if it is ungrammatical or asks
for something else than the instruction. The mends drew on that half too, so its coverage and error rate are a
little kinder than on rows never seen.

What the rules do not repair: "you" and "your" stay as they are, though the paper's wording often switched
them; a bare plural stays bare ("What are ways to ...?"); and "a text" (292 rows) asks "Can you write ...?",
which is a question in form only, and can be left out by its name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from rapidfuzz import fuzz, process, utils

VERSION = 1


class Rewriting(NamedTuple):
    """The rewritten text, and the name of the rule that wrote it."""

    text: str
    rule: str


class Match(NamedTuple):
    """The question most like an instruction, and their similarity from 0 to 100."""

    text: str
    similarity: float


# --- The words of the rules
# ------------------------------------------------------------------------------------------

# What an instruction may open with: verbs that ask for one fact, for what is known, for a judgement, for a
# text, for a place.
_FACT = "research|identify|determine|name|list|state|specify|find(?: out)?+|locate|look up|provide|give(?: me)?+|calculate|estimate|suggest|retrieve|obtain|tell me"
_TELL = (
    f"{_FACT}|outline|explain|describe|analy[sz]e|demonstrate|illustrate|investigate|detail|define|evaluate|assess|examine|explore|discuss|summari[sz]e|"
    "establish|show me|compile|brainstorm|gather|predict|enumerate"
)
_WEIGH = f"{_TELL}|debate|consider|confirm|check|argue|justify|prove"
_WRITE = "compose|write|draft|create|make|develop|devise|construct|design|craft|prepare|come up with|outline|compile|brainstorm"
_FIND = "find|locate|search for|look for"

# Nouns that name an answer, not a topic: "Analyze the causes of X" asks what they are, "Analyze the war" does
# not.
_ANSWERS = (
    "ways?|methods?|techniques?|strateg(?:y|ies)|reasons?|causes?|effects?|impacts?|consequences|repercussions|ramifications|implications|"
    "outcomes?|results?|risks?|dangers?|hazards|benefits|rewards|advantages|disadvantages|drawbacks|merits|pros and cons|costs?|factors|legality|laws|"
    "rules|regulations|requirements|penalt(?:y|ies)|punishments?|differences?|similarities|process|procedure|symptoms|signs|ingredients|meaning|definition|"
    "purpose|role|importance|effectiveness|likelihood|probability|number|amount|percentage|motivations?|arguments?|characteristics|origins?|types|kinds|"
    "stereotypes|tactics|tips|options|materials|tools|ethics|feasibility|prevalence|history|concept"
)
_TEXTS = (
    "plan|song|story|essay|letter|poem|haiku|guide|joke|insult|speech|tweet|post|skit|script|argument|statement|phrase|sentence|recipe|message|list|pitch|"
    "slogan|limerick|rap|manual|report|article|paragraph|advertisement|ad|email|note|strateg(?:y|ies)|scheme|scenario|tutorial|dialogue|conversation|"
    "narrative|lesson|proposal|rhyme|text|flyer|presentation|review|comment|monologue|anecdote|summary|instructions"
)
_TERMS = "term|word|name|phrase|slur|way|example|reason"
_PEOPLE = (
    "people|persons?|m[ae]n|wom[ae]n|individuals?|groups?|politicians?|president|celebrit(?:y|ies)|child(?:ren)?|kids?|girls?|boys?|wife|husband|mother|father|"
    "parents?|sons?|daughters?|brother|sister|friends?|neighbors?|teachers?|headmistress|owner|boss|actors?|actress|leaders?|doctor|lawyer|victims?|criminals?|"
    "killers?|cheerleaders?"
)
_LINKS = (
    "of|for|to|in|on|at|by|with|about|from|that|which|who|whom|whose|where|when|if|whether|why|how|against|between|among|during|under|over|without|through|into|"
    "as|than|regarding|across|inside|outside|using|like|behind|after|before|near|around|within|per|versus|because|due"
)
_PRONOUNS = "i|you|he|she|it|we|they|someone"
_BE = "is|are|am|was|were|can|could|will|would|should|must|might"
_ASIDE = rf"(?:(?!(?:{_LINKS}) )[\w'’-]+,? ){{0,4}}?"  # what stands between an article and its noun

# --- The table
# -------------------------------------------------------------------------------------------------------


class _Rule(NamedTuple):
    name: str
    pattern: re.Pattern[str]  # of the whole instruction, without its full stop
    template: str  # its groups, and the words that _fill finds for them


_RULES = tuple(
    _Rule(name, re.compile(pattern, re.IGNORECASE), template)
    for name, pattern, template in (
        ("how to", rf"(?:{_TELL}|teach me|instruct|instruct me) how to (?P<do>.+)", "How do {I} {do}?"),
        ("where to", rf"(?:{_TELL}) where to (?P<do>.+)", "Where can {I} {do}?"),
        ("what to", rf"(?:{_TELL}) (?P<wh>what|who|when|which [\w'-]+) to (?P<do>.+)", "{wh} should {I} {do}?"),
        ("why", rf"(?:{_WEIGH}) why (?P<clause>.+)", "why {inverted}?"),
        ("why, whole", rf"(?:{_WEIGH}) why (?!or |not )(?P<clause>.+)", "why is it that {clause}?"),
        ("whether", rf"(?:{_WEIGH}) (?:if|whether(?: or not)?) (?P<clause>.+?)(?: or not)?", "{inverted}?"),
        ("whether, whole", rf"(?:{_WEIGH}) (?:if|whether(?: or not)?) (?!.* or )(?P<clause>.+)", "is it true that {clause}?"),
        ("which one", rf"(?:{_TELL}) (?P<wh>which(?: (?!(?:the|an?|your|of|{_PRONOUNS}) )[\w'-]+){{1,4}} (?:{_BE}|has|have|had|of)|who (?:{_BE}|has|\w+ed)|how many [\w'-]+ (?:have|{_BE})|what happen(?:s|ed)) (?P<rest>.+)", "{wh} {rest}?"),
        ("how, when, where", rf"(?:{_TELL}) (?P<wh>how(?: long| often| far| fast| quickly| easily| easy| hard| likely| safe| common)?|when|where|who|what(?= (?:the|an?|your|this|that|{_PRONOUNS}) )|(?:how many|how much|what|which) [\w'-]+(?= (?:{_PRONOUNS}) )) (?P<clause>.+)", "{wh} {inverted}?"),
        ("opinion", r"(?:share|express|state|give|describe|explain|tell me|identify|provide) (?P<np>your (?:\w+ )?(?:opinions?|thoughts|views?|feelings|favou?rite) .+)", "{what_is} {np}?"),
        ("evidence", rf"(?:{_FACT}|present|compile|gather|collect|document) (?:the )?evidence (?P<rest>(?:of|for|that|to|against) .+)", "what evidence is there {rest}?"),
        ("steps", rf"(?:{_TELL}|(?:{_WRITE}) a list of) (?:the )?steps (?P<rest>.+)", "what are the steps {rest}?"),
        ("a list", rf"(?:{_WRITE}|provide|give(?: me)?) (?:a|the) list of (?P<np>.+)", "{what_are} {np}?"),
        ("an answer", rf"(?:{_WEIGH}) (?P<np>(?:the )?{_ASIDE}(?:{_ANSWERS}) .+)", "{what_is} {np}?"),
        ("the most", rf"(?:{_WEIGH}|choose|select) (?P<np>the (?:most|least|best|worst|(?!arrest|request|interest|forest|guest|quest|test|west|rest)\w+est) .+)", "{what_is} {np}?"),
        ("whose", rf"(?:{_FACT}) (?P<np>(?-i:(?:[A-Z][\w.'’-]* ){{0,3}}[A-Z][\w.-]*(?:['’]s|s['’])) .+)", "{what_is} {np}?"),
        ("a term", rf"(?:{_FACT}) (?P<np>an? {_ASIDE}(?:{_TERMS}) .+)", "{what_is} {np}?"),
        ("where to find", rf"(?:{_FIND}) (?!the |out |me |your |.* and \w+ (?:it|them|him|her)\b)(?P<rest>.+)", "where can I find {rest}?"),
        ("the fact", rf"(?:{_FACT}) (?P<np>the .+)", "{what_is} {np}?"),
        ("a fact", rf"(?:{_FACT}) (?!.* and \w+ (?:it|them|him|her)\b)(?P<np>an? .+)", "{what_is} {np}?"),
        ("facts", rf"(?:{_FACT}|brainstorm|enumerate|outline) (?!(?:the|an?|your|any|people|what|which|who|how) )(?P<np>{_ASIDE}[\w'’-]+ (?:(?:suitable|used|needed) )?(?:to|for|about|that|where|when|in which|involving) .+)", "{what_are} {np}?"),
        ("compare", r"compare(?: and contrast)? (?!.* to determine )(?P<np>.+ (?:and|versus) .+)", "how {do_they} {np} compare?"),
        ("a text", rf"(?P<task>compose .+|(?:{_WRITE}) (?:an? )?{_ASIDE}(?:{_TEXTS})(?: .+)?)", "can you {task}?"),
    )
)  # fmt: skip

# A second task, or a choice between a thing and its opposite, makes no single question.
_TWO_TASKS = re.compile(
    rf"\b(?:and|then) (?:then )?(?:{_WEIGH}|{_WRITE}|compare|share|if|whether|why|how|what)\b|\b(\w+) or \1(?:n['’]t| not)\b|\bor not [a-z]",
    re.IGNORECASE,
)
_CLAIM = re.compile(
    r"(?:(?:explain|describe|justify|analy[sz]e|prove|argue|demonstrate) (?:why|that)|convince me that|make the case that|"
    r"(?:write|give|give me|provide|list|name) (?:(?:an?|one|two|three|four|five|some|the|a list of) )?(?:good )?reasons? (?:why|that)) (?!to |not |or |so )(?P<claim>.+)",
    re.IGNORECASE,
)


def as_question(instruction: str) -> Rewriting | None:
    """Return the same request as a question with the rule that wrote it; ``None`` where no rule fits."""
    body = _body(instruction)
    if body is None or _TWO_TASKS.search(body):
        return None
    for rule in _RULES:
        if (fit := rule.pattern.fullmatch(body)) and (text := _fill(rule.template, fit.groupdict())):
            return Rewriting(text[0].upper() + text[1:], rule.name)
    return None


def as_opinion(instruction: str) -> Rewriting | None:
    """Return an instruction to give reasons for a claim as the question whether one thinks so; ``None`` for
    any other.

    A claim about the reader or the writer ("why you …") is no opinion on the world, and is left out.
    """
    body = _body(instruction)
    fit = _CLAIM.fullmatch(body) if body else None
    if not fit or _READER.search(fit["claim"]) or _TWO_TASKS.search(fit["claim"]):
        return None
    return Rewriting(f"Do you think that {fit['claim']}?", "claim")


# --- From a rule's groups to its question
# ----------------------------------------------------------------------------

_YOU = re.compile(r"\b(?:you|yours?|yourself)\b", re.IGNORECASE)
_READER = re.compile(r"\b(?:you|yours?|yourself|i|me|us|we)\b", re.IGNORECASE)
_AFTER_HEAD = re.compile(
    rf",|\b(?:{_LINKS}|{_PRONOUNS}|{_BE}|has|have|had|may)\b|(?<=\w )(?:an?|the|your|my|his|her|our|their)\b",
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
    rf"(?:{_BE})(?:n['’]t)?|(?:does|do|did)(?:n['’]t|(?= not\b))|"
    r"(?:has|have|had)(?= (?:(?:not|never|ever|always|already) )?(?:been|become|\w+ed)\b)|(?:has|have)(?= ever )"
)
_SIMPLE_CLAUSE = re.compile(
    rf"(?P<subject>(?:[\w'’-]+ ){{1,6}}?)(?P<auxiliary>{_AUXILIARY}) (?P<rest>.+)", re.IGNORECASE
)
# After a subject's first word, signs of a clause within it: its auxiliary is not the sentence's.
_INNER_CLAUSE = re.compile(
    rf" (?:that|who|which|what|whose|whom|if|when|where|because|how|while|although|and|or|but|{_PRONOUNS}|has|have|had|do|does|did|gets?|makes?|wants?|likes?|"
    r"thinks?|believes?|says?|claims?|feels?|knows?|needs?)\b",
    re.IGNORECASE,
)


def _body(instruction: str) -> str | None:
    """The instruction in one line without its full stop; ``None`` where it is a question already or more than
    one sentence.
    """
    text = re.sub(r"[.,](['\"”’])$", r"\1", " ".join(instruction.split()).rstrip(" .!"))
    return None if not text or re.search(r"\?|[.!] ", text) else text


def _fill(template: str, groups: dict[str, str]) -> str | None:
    """The template with its groups and the words that depend on them; ``None`` where such a word cannot be
    told.
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
    """Return "what is", "what are", "who is" or "who are" by the head of a noun phrase; ``None`` where the
    head is not clear.
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
    who = re.fullmatch(_PEOPLE, plurals[0] if plurals else head[-1])
    return f"{'who' if who else 'what'} {'are' if plurals else 'is'}"


def _may_follow(plural: str, after: str) -> bool:
    """Whether a noun phrase may go on with this word after its head: "tools criminals use", but not "sports
    car".
    """
    return (
        not after or _plural(after) or bool(_AFTER_PLURAL.fullmatch(after) or re.fullmatch(_ANSWERS, plural))
    )


def _plural(word: str) -> bool:
    return word in _PLURALS or (
        word.endswith("s") and not word.endswith(("ss", "us", "is", "'s", "’s")) and word not in _SINGULARS
    )


def _inverted(clause: str) -> str | None:
    """The clause with its auxiliary before its subject; ``None`` where it has none, or the subject holds a
    clause of its own.
    """
    fit = _SIMPLE_CLAUSE.fullmatch(clause)
    if not fit or _INNER_CLAUSE.search(" " + fit["subject"].partition(" ")[2]):
        return None
    return f"{fit['auxiliary']} {fit['subject']}{fit['rest']}"


# --- Matching to the red-team attempts
# -------------------------------------------------------------------------------

_CHUNK = 256  # instructions compared at once: 40 MB of similarities with all 38,961 attempts


def first_turn(transcript: str) -> str:
    """Return what the human says first in a transcript of turns that begin with "Human:" and "Assistant:"; ""
    where no human speaks.
    """
    said = re.match(r"\s*Human:(.*?)(?:\n\n(?:Human|Assistant):|\Z)", transcript, re.DOTALL)
    return said[1].strip() if said else ""


def match(instructions: Sequence[str], questions: Sequence[str], *, at_least: float = 75) -> dict[int, Match]:
    """Return, by the number of each instruction, the question most like it; instructions without one
    ``at_least`` so similar are left out.

    Similarity is rapidfuzz's token sort ratio on the words in lower case. The threshold was chosen on the
    book's own 276 pairs, written by hand, with 2,483 other requests mixed in: 270 pairs are found, none
    wrongly, and none of the 276 instructions is matched once its own question is taken away. It was not
    validated on the red-team attempts, which are longer, looser and many more: read some of what it matches
    there before using it.
    """
    if not questions:
        return {}
    wanted, offered = (
        [utils.default_process(text) for text in instructions],
        [utils.default_process(text) for text in questions],
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
