"""Keys of services: what is one, and a text without it.

A key comes from the environment only. The values of environment variables with a name such as
``OPENAI_API_KEY`` or ``HF_TOKEN`` are known exactly and are taken out of whatever is kept or shown; what only
has the form of a key is refused where a person gives it as a parameter.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "[key]"

_NAME = re.compile(r"(^|_)(KEY|TOKEN|SECRET|PASSWORD|PASSWD)(_|$)", re.IGNORECASE)
# The beginnings that services give their keys (OpenAI, Anthropic and others; Hugging Face, GitHub, Groq, xAI,
# Google, AWS), a signed token, and an address or assignment that names one.
_FORM = re.compile(
    r"(?<![\w-])(?:(?:sk|rk|pk)-(?!learn)[\w-]{12,}|hf_\w{16,}|gh[pousr]_\w{20,}|github_pat_\w{20,}|gsk_\w{16,}"
    r"|xai-[\w-]{16,}|AIza[\w-]{30,}|A[KS]IA[A-Z0-9]{16}(?!\w)|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*)"
    r"|(?i:\bbearer\s+[\w.~+/-]{12,})"
    r"|(?<=://)[^\s/@]+(?=@)"
    r"|(?i:\b[\w.-]*(?:key|token|secret|password|passwd)=)[^\s&;]{6,}"
)


def _values() -> set[str]:
    """The secret values in the environment.

    A word of letters alone and a short text are placeholders, for a server that needs no key; a path names a
    file.
    """
    found = {value.strip() for name, value in os.environ.items() if _NAME.search(name)}
    return {value for value in found if _is_secret(value)}


def _is_secret(value: str) -> bool:
    least = 16 if value.isalpha() else 8
    return len(value) >= least and value[0] not in "/~" and not re.search(r"\s", value)


def scrubbed(text: str, *, key: str = "") -> str:
    """A text with ``[key]`` in place of every secret value of the environment.

    Args:
        text: any text.
        key: another value to take out, such as that of a service; a placeholder is left.
    """
    for value in sorted({key, *_values()} if _is_secret(key) else _values(), key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return text


def hidden(text: str) -> str:
    """:func:`scrubbed`, and without whatever has the form of a key: for what a person is told."""
    return _FORM.sub(HIDDEN, scrubbed(text))


def named_in(values: Mapping[str, Any]) -> str:
    """The name of the first entry whose text, at any depth, holds a key; empty where none does."""
    return next((name for name, value in values.items() if any(map(holds_key, _texts(value)))), "")


def holds_key(text: str) -> bool:
    """Whether a text holds a secret value of the environment, or what has the form of a key."""
    return hidden(text) != text


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for pair in value.items() for one in pair for text in _texts(one)]
    if isinstance(value, (list, tuple, set)):
        return [text for one in value for text in _texts(one)]
    return []
