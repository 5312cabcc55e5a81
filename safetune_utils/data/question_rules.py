"""The rules of :func:`safetune_utils.data.question_forms.as_question`: words, and a table read from the top.

All of them are regular expressions that ignore case. A change of one changes which question an instruction
becomes: raise :data:`safetune_utils.data.question_forms.VERSION` with it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# --- Verbs that an instruction may begin with: they ask for one fact, for what is known, for a judgement, for
# a text, for a place.

_FACT = (
    "research|identify|determine|name|list|state|specify|find(?: out)?+|locate|look up|provide|give(?: me)?+|"
    "calculate|estimate|suggest|retrieve|obtain|tell me"
)
_TELL = (
    f"{_FACT}|outline|explain|describe|analy[sz]e|demonstrate|illustrate|investigate|detail|define|evaluate|"
    "assess|examine|explore|discuss|summari[sz]e|establish|show me|compile|brainstorm|gather|predict|"
    "enumerate"
)
_WEIGH = f"{_TELL}|debate|consider|confirm|check|argue|justify|prove"
_WRITE = (
    "compose|write|draft|create|make|develop|devise|construct|design|craft|prepare|come up with|outline|"
    "compile|brainstorm"
)
_FIND = "find|locate|search for|look for"

# --- Nouns, and small words.

# Nouns that name an answer, not a topic: "Analyze the causes of X" asks what they are, "Analyze the war" does
# not.
ANSWERS = (
    "ways?|methods?|techniques?|strateg(?:y|ies)|reasons?|causes?|effects?|impacts?|consequences|"
    "repercussions|ramifications|implications|outcomes?|results?|risks?|dangers?|hazards|benefits|rewards|"
    "advantages|disadvantages|drawbacks|merits|pros and cons|costs?|factors|legality|laws|rules|regulations|"
    "requirements|penalt(?:y|ies)|punishments?|differences?|similarities|process|procedure|symptoms|signs|"
    "ingredients|meaning|definition|purpose|role|importance|effectiveness|likelihood|probability|number|"
    "amount|percentage|motivations?|arguments?|characteristics|origins?|types|kinds|stereotypes|tactics|tips|"
    "options|materials|tools|ethics|feasibility|prevalence|history|concept"
)
_TEXTS = (
    "plan|song|story|essay|letter|poem|haiku|guide|joke|insult|speech|tweet|post|skit|script|argument|"
    "statement|phrase|sentence|recipe|message|list|pitch|slogan|limerick|rap|manual|report|article|paragraph|"
    "advertisement|ad|email|note|strateg(?:y|ies)|scheme|scenario|tutorial|dialogue|conversation|narrative|"
    "lesson|proposal|rhyme|text|flyer|presentation|review|comment|monologue|anecdote|summary|instructions"
)
_TERMS = "term|word|name|phrase|slur|way|example|reason"
PEOPLE = (
    "people|persons?|m[ae]n|wom[ae]n|individuals?|groups?|politicians?|president|celebrit(?:y|ies)|"
    "child(?:ren)?|kids?|girls?|boys?|wife|husband|mother|father|parents?|sons?|daughters?|brother|sister|"
    "friends?|neighbors?|teachers?|headmistress|owner|boss|actors?|actress|leaders?|doctor|lawyer|victims?|"
    "criminals?|killers?|cheerleaders?"
)
LINKS = (
    "of|for|to|in|on|at|by|with|about|from|that|which|who|whom|whose|where|when|if|whether|why|how|against|"
    "between|among|during|under|over|without|through|into|as|than|regarding|across|inside|outside|using|like|"
    "behind|after|before|near|around|within|per|versus|because|due"
)
PRONOUNS = "i|you|he|she|it|we|they|someone"
BE = "is|are|am|was|were|can|could|will|would|should|must|might"
_ASIDE = rf"(?:(?!(?:{LINKS}) )[\w'’-]+,? ){{0,4}}?"  # what may stand between an article and its noun

# --- The table.


class Rule(NamedTuple):
    """One way to make a question.

    Attributes:
        name: in words; it is stored with every question that the rule makes.
        pattern: of the whole instruction, without its full stop.
        template: of the question. Its holes are the pattern's groups, and the words that
            :mod:`safetune_utils.data.question_forms` finds for them.
    """

    name: str
    pattern: re.Pattern[str]
    template: str


_TABLE = (
    ("how to", rf"(?:{_TELL}|teach me|instruct|instruct me) how to (?P<do>.+)", "How do {I} {do}?"),
    ("where to", rf"(?:{_TELL}) where to (?P<do>.+)", "Where can {I} {do}?"),
    (
        "what to",
        rf"(?:{_TELL}) (?P<wh>what|who|when|which [\w'-]+) to (?P<do>.+)",
        "{wh} should {I} {do}?",
    ),
    ("why", rf"(?:{_WEIGH}) why (?P<clause>.+)", "why {inverted}?"),
    ("why, whole", rf"(?:{_WEIGH}) why (?!or |not )(?P<clause>.+)", "why is it that {clause}?"),
    ("whether", rf"(?:{_WEIGH}) (?:if|whether(?: or not)?) (?P<clause>.+?)(?: or not)?", "{inverted}?"),
    (
        "whether, whole",
        rf"(?:{_WEIGH}) (?:if|whether(?: or not)?) (?!.* or )(?P<clause>.+)",
        "is it true that {clause}?",
    ),
    (
        "which one",
        rf"(?:{_TELL}) "
        rf"(?P<wh>which(?: (?!(?:the|an?|your|of|{PRONOUNS}) )[\w'-]+){{1,4}} (?:{BE}|has|have|had|of)|"
        rf"who (?:{BE}|has|\w+ed)|how many [\w'-]+ (?:have|{BE})|what happen(?:s|ed)) "
        r"(?P<rest>.+)",
        "{wh} {rest}?",
    ),
    (
        "how, when, where",
        rf"(?:{_TELL}) "
        r"(?P<wh>how(?: long| often| far| fast| quickly| easily| easy| hard| likely| safe| common)?|"
        rf"when|where|who|what(?= (?:the|an?|your|this|that|{PRONOUNS}) )|"
        rf"(?:how many|how much|what|which) [\w'-]+(?= (?:{PRONOUNS}) )) "
        r"(?P<clause>.+)",
        "{wh} {inverted}?",
    ),
    (
        "opinion",
        r"(?:share|express|state|give|describe|explain|tell me|identify|provide) "
        r"(?P<np>your (?:\w+ )?(?:opinions?|thoughts|views?|feelings|favou?rite) .+)",
        "{what_is} {np}?",
    ),
    (
        "evidence",
        rf"(?:{_FACT}|present|compile|gather|collect|document) "
        r"(?:the )?evidence (?P<rest>(?:of|for|that|to|against) .+)",
        "what evidence is there {rest}?",
    ),
    (
        "steps",
        rf"(?:{_TELL}|(?:{_WRITE}) a list of) (?:the )?steps (?P<rest>.+)",
        "what are the steps {rest}?",
    ),
    ("a list", rf"(?:{_WRITE}|provide|give(?: me)?) (?:a|the) list of (?P<np>.+)", "{what_are} {np}?"),
    ("an answer", rf"(?:{_WEIGH}) (?P<np>(?:the )?{_ASIDE}(?:{ANSWERS}) .+)", "{what_is} {np}?"),
    (
        "the most",
        rf"(?:{_WEIGH}|choose|select) (?P<np>the (?:most|least|best|worst|"
        r"(?!arrest|request|interest|forest|guest|quest|test|west|rest)\w+est) .+)",
        "{what_is} {np}?",
    ),
    (
        "whose",
        rf"(?:{_FACT}) (?P<np>(?-i:(?:[A-Z][\w.'’-]* ){{0,3}}[A-Z][\w.-]*(?:['’]s|s['’])) .+)",
        "{what_is} {np}?",
    ),
    ("a term", rf"(?:{_FACT}) (?P<np>an? {_ASIDE}(?:{_TERMS}) .+)", "{what_is} {np}?"),
    (
        "where to find",
        rf"(?:{_FIND}) (?!the |out |me |your |.* and \w+ (?:it|them|him|her)\b)(?P<rest>.+)",
        "where can I find {rest}?",
    ),
    ("the fact", rf"(?:{_FACT}) (?P<np>the .+)", "{what_is} {np}?"),
    (
        "a fact",
        rf"(?:{_FACT}) (?!.* and \w+ (?:it|them|him|her)\b)(?P<np>an? .+)",
        "{what_is} {np}?",
    ),
    (
        "facts",
        rf"(?:{_FACT}|brainstorm|enumerate|outline) (?!(?:the|an?|your|any|people|what|which|who|how) )"
        rf"(?P<np>{_ASIDE}[\w'’-]+ (?:(?:suitable|used|needed) )?"
        r"(?:to|for|about|that|where|when|in which|involving) .+)",
        "{what_are} {np}?",
    ),
    (
        "compare",
        r"compare(?: and contrast)? (?!.* to determine )(?P<np>.+ (?:and|versus) .+)",
        "how {do_they} {np} compare?",
    ),
    (
        "a text",
        rf"(?P<task>compose .+|(?:{_WRITE}) (?:an? )?{_ASIDE}(?:{_TEXTS})(?: .+)?)",
        "can you {task}?",
    ),
)

RULES = tuple(Rule(name, re.compile(pattern, re.IGNORECASE), template) for name, pattern, template in _TABLE)

# A second task, or a choice between a thing and its opposite, makes no single question.
TWO_TASKS = re.compile(
    rf"\b(?:and|then) (?:then )?(?:{_WEIGH}|{_WRITE}|compare|share|if|whether|why|how|what)\b|"
    r"\b(\w+) or \1(?:n['’]t| not)\b|\bor not [a-z]",
    re.IGNORECASE,
)
# An instruction to give reasons for a claim.
CLAIM = re.compile(
    r"(?:(?:explain|describe|justify|analy[sz]e|prove|argue|demonstrate) (?:why|that)|convince me that|"
    r"make the case that|(?:write|give|give me|provide|list|name) "
    r"(?:(?:an?|one|two|three|four|five|some|the|a list of) )?(?:good )?reasons? (?:why|that)) "
    r"(?!to |not |or |so )(?P<claim>.+)",
    re.IGNORECASE,
)
