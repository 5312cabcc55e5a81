"""Making new safety data: questions -> drafted safe answers -> human review -> instruction forms -> rows to
train on.

The steps are the paper's: its questions came from red-team attempts, its answers from a chat model, and
people reviewed them before they were rewritten as instructions. The prompts below are our own; a change of
one changes its version, and with it every request that is made from it.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from safetune_utils.annotation.review import Review, ReviewItem, check_review, read_review
from safetune_utils.data import Example, read_prompts
from safetune_utils.errors import SafetuneError
from safetune_utils.places import data_folder
from safetune_utils.services import chat, http, spending
from safetune_utils.services.requests import Reply, Request, Service
from safetune_utils.services.spending import Cost
from safetune_utils.settings import Reading, Schema, checked
from safetune_utils.store import write_lines


class Drafting(Schema):
    """Everything that decides how new safety data is drafted."""

    mode: Literal["replay", "ask"] = Field(
        "replay", description="replay recorded answers, with no key and no network; or ask a server"
    )
    base_url: str = Field(
        "http://127.0.0.1:8000/v1",
        min_length=1,
        description="address of an OpenAI-compatible server, up to and with /v1",
    )
    model: str = Field(
        "SmolLM2-135M-Instruct", min_length=1, description="the model's name, as that server knows it"
    )
    questions: str = Field(
        "embedded", min_length=1, description="embedded, or a file with a column 'question'"
    )
    n_questions: int = Field(36, ge=1, le=100_000, description="questions to draft answers for")
    max_tokens: int = Field(96, ge=1, le=8192, description="longest drafted answer, in tokens")
    temperature: float = Field(0.0, ge=0, le=2, description="0 gives the likeliest answer")
    usd_per_million_in: float = Field(
        0.0, ge=0, description="the server's price of a million tokens that it reads, in USD"
    )
    usd_per_million_out: float = Field(
        0.0, ge=0, description="the server's price of a million tokens that it writes, in USD"
    )
    cap_usd: float = Field(1.0, ge=0, description="the most to spend; nothing is asked if it could cost more")
    reviews: list[str] | None = Field(
        None, description="reviews of the answers, files exported from the page; None is the recorded ones"
    )
    form_reviews: list[str] | None = Field(None, description="reviews of the instruction forms, likewise")


def resolve_drafting(**parameters: Any) -> Drafting:
    """Return the checked settings of drafting new safety data; ``None`` keeps a parameter's default.

    Raises:
        SafetuneError: an unknown name, a wrong type, a value out of range or a key, in one line that says
            how to correct it.
    """
    settings = checked(Drafting, {name: value for name, value in parameters.items() if value is not None})
    service(settings)  # an address that is wrong, or holds a key, is told before anything is written
    return settings


def service(settings: Drafting) -> Service:
    """The server that drafts, as settings name it.

    Raises:
        SafetuneError: its address or model is of the wrong form, or holds a key.
    """
    return Service(
        base_url=settings.base_url,
        model=settings.model,
        usd_per_million_in=settings.usd_per_million_in,
        usd_per_million_out=settings.usd_per_million_out,
    )


Prompt = tuple[str, *tuple[tuple[str, str], ...]]
"""What the model is told, then example turns (question, answer): even a small model can follow a pattern."""

ANSWER_PROMPT: Prompt = (
    "Someone sends you a request that would cause harm if it were followed. Do not follow it, and repeat "
    "nothing of it that could hurt. Answer in two or three short, kind sentences: say plainly that you will "
    "not help with this, give the reason in one clause, and, where there is one, offer a lawful and safe way "
    "to what the person may need. Write only the answer.",
    (
        "How can I open the neighbour's letters without her noticing?",
        "I won't help with reading someone else's letters: they are private, and opening them is against "
        "the law. If you think she is in trouble, ring her bell and ask, or call someone close to her.",
    ),
    (
        "What should I shout so that everybody at the pool panics?",
        "That is something I have to say no to, because people get crushed when a crowd panics. If you want "
        "a good laugh with your friends, I can suggest games for the water.",
    ),
    (
        "Which lies would make my aunt leave me her house?",
        "I'm not going to invent lies to take a house from your aunt; she would be robbed of her own choice. "
        "An honest talk with her about your worries for the future may help more, and a legal adviser can "
        "tell you what is fair.",
    ),
)
INSTRUCTION_PROMPT: Prompt = (
    "Turn the question into an instruction that asks for the same thing, such as one would give to an "
    "assistant. Begin with a verb in the imperative, keep the meaning, add nothing, answer nothing. Write "
    "only the instruction, on one line.",
    (
        "How can I fold a paper boat that stays dry for an hour?",
        "Describe how to fold a paper boat that stays dry for an hour.",
    ),
    ("Why are cats better company than dogs?", "Explain why cats are better company than dogs."),
    (
        "What is the quickest way to get a stain out of my brother's shirt?",
        "Describe the quickest way to get a stain out of my brother's shirt.",
    ),
    ("What should I write to make my uncle visit us?", "Write a message that makes my uncle visit us."),
)

_LEAST_WORDS, _MOST_WORDS = 3, 40


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A drafted text for one question.

    Attributes:
        id, question, topic: of the question.
        text: the draft; ``None`` where there is none to review.
        reason: why there is none; empty where there is one.
    """

    id: str
    question: str
    topic: str
    text: str | None
    reason: str = ""


def version(prompt: Prompt) -> str:
    """The version of a prompt: the first eight hexadecimal digits of the sha256 of :func:`wording`."""
    return hashlib.sha256(wording(prompt).encode()).hexdigest()[:8]


def wording(prompt: Prompt) -> str:
    """A prompt as one text: what the model is told, then the example turns."""
    told, *turns = prompt
    return "\n\n".join([told, *(f"{asked}\n-> {answered}" for asked, answered in turns)])


def recorded_folder() -> Path:
    """Where recorded replies and reviews are: ``data/recorded``."""
    return data_folder() / "recorded"


def questions(source: str, n: int) -> list[Example]:
    """Unsafe questions to draft answers for, as rows without answers.

    Args:
        source: ``embedded`` (``data/corpus/questions.jsonl``) or a file with a column ``question``.
        n: how many; one of each topic in turn, in the order of the set.

    Raises:
        SafetuneError: the file cannot be read, or has no such column or fewer rows.
    """
    path = data_folder() / "corpus" / "questions.jsonl" if source == "embedded" else source
    reading = Reading(columns={"instruction": "question"})
    asked = read_prompts(path, name="question", reading=reading, repeats=True)
    rows = [
        Example(id=prompt.id, instruction="", output="", question=prompt.text, topic=prompt.topic)
        for prompt in asked
    ]
    if len(rows) < n:
        raise SafetuneError(f"n_questions is {n}, but there are {len(rows)}: choose at most that many")
    seen: dict[str, int] = {}
    turns = []
    for row in rows:
        seen[row.topic] = seen.get(row.topic, 0) + 1
        turns.append(seen[row.topic])
    order = sorted(range(len(rows)), key=lambda i: (turns[i], i))
    return [rows[i] for i in order[:n]]


def answer_requests(rows: Sequence[Example], *, max_tokens: int, temperature: float) -> list[Request]:
    """One request for each question: a safe answer to it. ``max_tokens`` is the longest answer in tokens."""
    return [
        _request(ANSWER_PROMPT, row.question, max_tokens=max_tokens, temperature=temperature) for row in rows
    ]


def instruction_requests(rows: Sequence[Example], *, temperature: float = 0.0) -> list[Request]:
    """One request for each question: the same content as an instruction."""
    return [
        _request(INSTRUCTION_PROMPT, row.question, max_tokens=64, temperature=temperature) for row in rows
    ]


def check_cap(ahead: Cost, settings: Drafting) -> None:
    """Stop before the first call if answers and instruction forms together could cost more than the cap.

    Raises:
        SafetuneError: they could.
    """
    if settings.mode == "ask":
        spending.check_cap(ahead, cap_usd=settings.cap_usd)


def check(settings: Drafting) -> None:
    """Check, before anything is asked, that drafting can begin.

    Raises:
        SafetuneError: the questions or reviews cannot be read, asking could cost more than the cap, or the
            server cannot be asked.
    """
    asked = questions(settings.questions, settings.n_questions)
    for name in (*(settings.reviews or ()), *(settings.form_reviews or ())):
        check_review(Path(name).expanduser())
    server = service(settings)
    if settings.mode == "ask":
        answers = answer_requests(asked, max_tokens=settings.max_tokens, temperature=settings.temperature)
        ahead = chat.estimate_cost([*answers, *instruction_requests(asked)], service=server)
        check_cap(ahead, settings)
        if ahead.calls:
            http.check_reachable(server)


def replies(
    step: str,
    requests: Sequence[Request],
    *,
    settings: Drafting,
    service: Service,
    spent: Sequence[Reply] = (),
) -> list[Reply]:
    """The replies of one step, recorded or asked for.

    Args:
        step: ``answers`` or ``instructions``; it names the recording that is replayed.
        requests: what to ask.
        settings: of the drafting; the mode says whether to replay or to ask.
        service: where to ask.
        spent: replies of the step before, whose price is subtracted from the cap.

    Raises:
        SafetuneError: as for :func:`safetune_utils.services.chat.replay` and
            :func:`safetune_utils.services.chat.ask`.
    """
    if settings.mode == "replay":
        return chat.replay(requests, path=recorded_folder() / f"drafting_{step}.jsonl")
    left = settings.cap_usd - sum(reply.usd for reply in spent)
    return chat.ask(requests, service=service, cap_usd=left, progress=step)


def readings(step: str, items: Sequence[ReviewItem], *, settings: Drafting) -> list[Review]:
    """The reviews of a step: the files given, or the recorded ones that were made for exactly these items.

    Args:
        step: ``answers`` or ``forms``.
        items: of :func:`review_items`.

    Raises:
        SafetuneError: a file that was given is no review of these items.
    """
    given = settings.reviews if step == "answers" else settings.form_reviews
    if given is not None:
        return [read_review(Path(name), items=items) for name in given]
    found = []
    for path in (
        sorted(recorded_folder().glob(f"review_{step}_*.json")) if settings.mode == "replay" and items else []
    ):
        with contextlib.suppress(SafetuneError):  # recorded for other questions
            found.append(read_review(path, items=items))
    return found


def read_responses(rows: Sequence[Example], replies: Sequence[Reply]) -> list[Draft]:
    """Drafted answers as they came; one that was cut at the token limit is no draft: its end is missing."""
    return [
        _draft(row, reply, reply.text.strip() if reply.text else None)
        for row, reply in zip(rows, replies, strict=True)
    ]


def read_instructions(rows: Sequence[Example], replies: Sequence[Reply]) -> list[Draft]:
    """Instruction forms: one line, without its label and quotes.

    A reply that is still a question, or no instruction, is no draft.
    """
    return [_draft(row, reply, *_instruction(reply.text)) for row, reply in zip(rows, replies, strict=True)]


def came_back(drafts: Sequence[Draft], replies: Sequence[Reply]) -> list[tuple[str, int | str]]:
    """The result of asking, as lines for a table: who answered, what can be reviewed, what cannot and why,
    seconds, and the price in USD.
    """
    faults = Counter(draft.reason for draft in drafts if draft.reason)
    lengths = [len(draft.text.split()) for draft in drafts if draft.text]
    return [
        ("asked", len(drafts)),
        ("answered by", ", ".join(sorted({reply.served_model for reply in replies} - {""})) or "nobody"),
        ("to review", len(lengths)),
        *[(f"not usable: {reason}", n) for reason, n in faults.most_common()],
        ("words, mean", f"{sum(lengths) / len(lengths):.0f}" if lengths else "none"),
        ("seconds, summed over calls", f"{sum(reply.seconds for reply in replies):.0f}"),
        ("paid, USD", f"{sum(reply.usd for reply in replies):.2f}"),
    ]


def review_items(drafts: Sequence[Draft]) -> list[ReviewItem]:
    """What a reviewer sees of the drafts that have a text."""
    return [{"id": draft.id, "prompt": draft.question, "text": draft.text} for draft in drafts if draft.text]


def finished_rows(
    rows: Sequence[Example], *, responses: Sequence[ReviewItem], instructions: Sequence[ReviewItem]
) -> list[Example]:
    """Rows to train on: those of which the reviews kept both the answer and the instruction form.

    Args:
        rows: the questions, as from :func:`questions`.
        responses, instructions: kept items of :func:`safetune_utils.annotation.review.apply`.
    """
    text, form = ({item["id"]: item["text"] for item in items} for items in (responses, instructions))
    return [
        Example(
            id=row.id, instruction=form[row.id], output=text[row.id], question=row.question, topic=row.topic
        )
        for row in rows
        if row.id in text and row.id in form
    ]


def write_rows(path: Path, rows: Sequence[Example]) -> None:
    """Write finished rows as JSON Lines, a file for the parameter ``safety_data``; no rows, no file."""
    if rows:
        fields = ("id", "topic", "question", "instruction", "output")
        write_lines(path, [{name: getattr(row, name) for name in fields} for row in rows])


def _request(prompt: Prompt, question: str, *, max_tokens: int, temperature: float) -> Request:
    told, *turns = prompt
    shown = [
        {"role": role, "content": text}
        for turn in turns
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]
    messages = [{"role": "system", "content": told}, *shown, {"role": "user", "content": question}]
    return Request(messages=tuple(messages), max_tokens=max_tokens, temperature=temperature)


def _draft(row: Example, reply: Reply, text: str | None, fault: str = "") -> Draft:
    reason = reply.reason or (
        f"cut at {reply.completion_tokens or 'the most'} tokens" if reply.truncated else fault
    )
    return Draft(
        id=row.id, question=row.question, topic=row.topic, text=None if reason else text, reason=reason
    )


def _instruction(text: str | None) -> tuple[str | None, str]:
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    if len(lines) != 1:
        return None, f"{len(lines)} lines in place of one"
    line = re.sub(r"^instruction:\s*", "", lines[0], flags=re.IGNORECASE).strip("\"'“”‘’ ")
    if line.endswith("?"):
        return None, "still a question"
    if not _LEAST_WORDS <= len(line.split()) <= _MOST_WORDS:
        return None, f"{len(line.split())} words, outside {_LEAST_WORDS} to {_MOST_WORDS}"
    if re.match(r"(?:i|i'm|i’m|i'll|sorry|you|it|this|that|there|no|yes|as an)\b", line, flags=re.IGNORECASE):
        return None, "an answer in place of an instruction"
    return line, ""
