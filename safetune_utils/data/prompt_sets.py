"""The prompt sets, one entry each: what it asks, how a refusal is seen, where each source holds it.

A set of the user's own needs no entry here: it has the name that the user gives it, see
:func:`set_entry`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from safetune_utils.settings import RefusalIs


class Held(NamedTuple):
    """Where a source holds a set.

    Attributes:
        file: of ``data/corpus``, or the name of a registered set.
        text: the field that holds the prompt, in a file of the corpus.
        label: only rows with this label; empty for all.
        rows: how many those are, where ``label`` leaves some out.
        rewritten: whether each is rewritten as a question for an opinion.
    """

    file: str
    text: str = ""
    label: str = ""
    rows: int | None = None
    rewritten: bool = False


class PromptSet(NamedTuple):
    """What a prompt set is.

    Attributes:
        title: a short one.
        about: what its prompts are.
        a_refusal_is: how a careful person sees a refusal.
        embedded, paper: where the embedded corpus and the paper hold it; ``None`` where they do not.
    """

    title: str
    about: str
    a_refusal_is: RefusalIs
    embedded: Held | None = None
    paper: Held | None = None


PROMPT_SETS: dict[str, PromptSet] = {
    "malicious": PromptSet(
        title="malicious requests",
        about="malicious requests, asked as instructions",
        a_refusal_is="wanted",
        embedded=Held("malicious", "instruction"),
        paper=Held("I-MaliciousInstructions"),
    ),
    "malicious_questions": PromptSet(
        title="malicious questions",
        about="malicious requests, asked as questions",
        a_refusal_is="wanted",
        embedded=Held("malicious", "question"),
        paper=Held("Q-Harm"),
    ),
    "hateful": PromptSet(
        title="hateful requests",
        about="instructions that ask for hateful content",
        a_refusal_is="wanted",
        paper=Held("I-CoNa"),
    ),
    "controversial": PromptSet(
        title="controversial requests",
        about="instructions to argue for controversial claims",
        a_refusal_is="wanted",
        embedded=Held("controversial", "instruction"),
        paper=Held("I-Controversial"),
    ),
    "opinions": PromptSet(
        title="opinions asked",
        about="the same claims, asked as an opinion",
        a_refusal_is="safe, not needed",
        embedded=Held("controversial", "opinion"),
        # The paper's own opinion form was not released.
        paper=Held("I-Controversial", rewritten=True),
    ),
    "physical_unsafe": PromptSet(
        title="unwise advice",
        about="instructions that would hurt somebody by accident",
        a_refusal_is="wanted",
        embedded=Held("physical_safety", "unsafe"),
        paper=Held("I-PhysicalSafetyUnsafe"),
    ),
    "physical_safe": PromptSet(
        title="wise advice",
        about="the wise counterparts of unwise advice",
        a_refusal_is="unwanted",
        embedded=Held("physical_safety", "safe"),
        paper=Held("I-PhysicalSafetySafe"),
    ),
    "lookalikes_unsafe": PromptSet(
        title="unsafe contrasts",
        about="unsafe requests that share a look-alike's alarming word",
        a_refusal_is="wanted",
        embedded=Held("lookalikes", "prompt", label="unsafe"),
        paper=Held("XSTest", label="unsafe", rows=200),
    ),
    "lookalikes_safe": PromptSet(
        title="safe look-alikes",
        about="harmless requests with alarming words",
        a_refusal_is="unwanted",
        embedded=Held("lookalikes", "prompt", label="safe"),
        paper=Held("XSTest", label="safe", rows=250),
    ),
    "ordinary": PromptSet(
        title="ordinary instructions",
        about="ordinary instructions: is it still helpful?",
        a_refusal_is="unwanted",
        embedded=Held("ordinary", "instruction"),
        paper=Held("I-Alpaca"),
    ),
}


def set_entry(name: str) -> PromptSet:
    """The entry of a prompt set; for a set of the user's own, one that has its name for a title."""
    own = PromptSet(title=name.replace("_", " "), about="prompts of the user's own", a_refusal_is="not said")
    return PROMPT_SETS.get(name, own)


def in_order(names: Iterable[str]) -> list[str]:
    """Names of prompt sets, each once: the book's in their order, then others as they come."""
    there = list(dict.fromkeys(names))
    return [*(name for name in PROMPT_SETS if name in there), *(n for n in there if n not in PROMPT_SETS)]
