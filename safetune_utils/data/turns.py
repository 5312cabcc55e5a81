"""Conversations as rows: a list of turns, as ``messages`` (``role``, ``content``) or in ShareGPT's form
``conversations`` (``from``, ``value``).

The last answer is what is learned or scored; all turns before it are the request, in their order.
"""

from __future__ import annotations

from typing import NamedTuple

# Who speaks, by the names that such files use.
_SPEAKERS = {
    "system": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
}
_SHOWN = {"user": "User", "assistant": "Assistant"}


class Turns(NamedTuple):
    """A conversation as one request and its answer.

    Attributes:
        request: what the user said; of several turns all of them, each with its speaker's name before it. A
            system's text stands before it, a blank line between them.
        answer: of the last turn, where that is the assistant's; else empty.
    """

    request: str
    answer: str


def read_turns(value: object) -> Turns:
    """A list of turns as a request and its answer.

    Raises:
        ValueError: it is no such list; the text says what is wrong with it.
    """
    if not isinstance(value, list):
        raise ValueError("it is no list of turns")
    said = [_turn(turn, number) for number, turn in enumerate(value, start=1)]
    empty = [n for n, (speaker, text) in enumerate(said, start=1) if speaker != "system" and not text.strip()]
    if empty and (empty != [len(said)] or said[-1][0] == "user"):
        raise ValueError(f"turn {empty[0]} is empty")
    system = [text for speaker, text in said if speaker == "system" and text.strip()]
    spoken = [(speaker, text) for speaker, text in said if speaker != "system"]
    if any(speaker == "system" for speaker, _ in said[1:]):
        raise ValueError("a turn of the system stands elsewhere than at the start")
    for number, (speaker, _) in enumerate(spoken):
        expected = ("user", "assistant")[number % 2]
        if speaker != expected:
            place = number + 1 + len(said) - len(spoken)
            raise ValueError(f"turn {place} is by the {speaker}, not by the {expected}")
    if not spoken:
        raise ValueError("it has no turn by the user")
    answer = spoken.pop()[1] if spoken[-1][0] == "assistant" else ""
    asked = [spoken[0][1]] if len(spoken) == 1 else [f"{_SHOWN[speaker]}: {text}" for speaker, text in spoken]
    return Turns("\n\n".join([*system, *asked]), answer)


def _turn(turn: object, number: int) -> tuple[str, str]:
    if not isinstance(turn, dict):
        raise ValueError(f"turn {number} is not an object with a speaker and a text")
    speaker = turn.get("role", turn.get("from"))
    text = turn.get("content", turn.get("value"))
    if isinstance(text, list):  # in parts, as services send it
        parts = [part.get("text") if isinstance(part, dict) else None for part in text]
        text = "\n\n".join(map(str, parts)) if parts and None not in parts else None
    if not isinstance(speaker, str) or speaker.lower() not in _SPEAKERS:
        raise ValueError(f"turn {number} is by {speaker!a:.40}, which is no user, assistant or system")
    if not isinstance(text, str):
        raise ValueError(f"turn {number} has no text")
    return _SPEAKERS[speaker.lower()], text
