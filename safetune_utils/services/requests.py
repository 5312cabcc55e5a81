"""What a server is asked and what it replies, as plain data, and the key under which a reply is kept."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import math
import re
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import urlsplit

from safetune_utils.errors import SafetuneError

# How the reason begins where a model says in the protocol's own field, not in its text, that it will not
# answer.
REFUSED_BY_MODEL = "refused by the model"

_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, kw_only=True)
class Service:
    """Where to ask, whom, and what it costs.

    Attributes:
        base_url: the address up to and with ``/v1``.
        model: the model's name, as this server knows it.
        usd_per_million_in: the price of a million prompt tokens; 0 for one's own machine. Prices change, so
            the book holds no table of them.
        usd_per_million_out: the price of a million tokens of reply.
        timeout_s: seconds of silence after which a try is given up.
        max_retries: further tries after a 429, a 5xx, a timeout or a broken connection, with growing waits or
            those the server asks for.
        concurrency: calls under way at once.
        key_variable: the name of the environment variable with the key; a server on this machine needs none.
    """

    base_url: str
    model: str
    usd_per_million_in: float = 0.0
    usd_per_million_out: float = 0.0
    timeout_s: float = 60
    max_retries: int = 4
    concurrency: int = 4
    key_variable: str = "OPENAI_API_KEY"

    def __post_init__(self) -> None:
        # Nothing given here is repeated in these errors, for it may hold a key in the wrong place.
        if not re.fullmatch(r"https?://(\[[0-9a-fA-F:]+\]|[\w.-]+)(:\d+)?(/[\w./-]*)?", self.base_url):
            raise SafetuneError(
                "base_url should be an address such as https://host/v1, without a user, a key or a question mark in it"
            )
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", self.key_variable):
            raise SafetuneError(
                "key_variable should be the name of an environment variable, such as OPENAI_API_KEY, not the key itself"
            )
        if not self.model:
            raise SafetuneError("model is empty: give a name that the server knows")
        prices = (self.usd_per_million_in, self.usd_per_million_out)
        if (
            not all(price >= 0 for price in prices)
            or not self.timeout_s > 0
            or self.max_retries < 0
            or self.concurrency < 1
        ):
            raise SafetuneError(
                "a service's prices and max_retries should be 0 or more, timeout_s above 0, and concurrency 1 or more"
            )

    @property
    def host(self) -> str:
        """The host asked, without its port: a local server's port is chance. Every name of this machine is
        ``loopback``.
        """
        host = urlsplit(self.base_url).hostname or ""
        try:
            local = ipaddress.ip_address(host).is_loopback
        except ValueError:
            local = host == "localhost"
        return "loopback" if local else host


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked: messages, each with a ``role`` (system, user or assistant) and its ``content``, and how
    to answer them.
    """

    messages: tuple[dict[str, str], ...]
    max_tokens: int
    temperature: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.messages or not all(map(_is_message, self.messages)):
            raise SafetuneError(
                f"a request needs messages, each with a role ({', '.join(_ROLES)}) and a content of whole characters, and nothing else"
            )
        if self.max_tokens < 1 or not 0 <= self.temperature < math.inf:
            raise SafetuneError("a request's max_tokens should be 1 or more and its temperature 0 or more")
        object.__setattr__(
            self, "temperature", float(self.temperature)
        )  # 0 and 0.0 are one request, and have one key


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came of a request.

    Attributes:
        key: sha256 of host, model and request; the name of its file.
        text: the answer, also one cut at ``max_tokens``; ``None`` where there is none to use.
        finish: why the server stopped, in its word (``unknown`` where it gave none); empty where no reply
            came.
        prompt_tokens: as the server counted; ``None`` where it did not.
        completion_tokens: likewise.
        usd: what the reply cost when it was paid; 0 where no reply came.
        usd_estimated: whether ``usd`` is the estimate at most, since the server counted no tokens.
        seconds: from the call to the reply, waits and retries included.
        cached: whether it was already there, so that nothing was paid for it now.
        reason: why there is no text, in words; empty where there is one.
        served_model: the model's name as the server reports it, without the folders of a path.
    """

    key: str
    text: str | None
    finish: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    usd: float = 0.0
    usd_estimated: bool = False
    seconds: float = 0.0
    cached: bool = False
    reason: str = ""
    served_model: str = ""

    @property
    def truncated(self) -> bool:
        """Whether the reply was cut at ``max_tokens``."""
        return self.finish == "length"


def _is_message(message: Any) -> bool:
    if not isinstance(message, dict) or set(message) != {"role", "content"} or message["role"] not in _ROLES:
        return False
    content = message["content"]
    return (
        isinstance(content, str) and content == content.encode(errors="ignore").decode()
    )  # half a surrogate pair cannot be sent


def content_of(request: Request) -> dict[str, Any]:
    return {
        "messages": list(request.messages),
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
    }


def canonical(content: dict[str, Any]) -> str:
    return json.dumps(content, sort_keys=True)


def key_of(request: Request, service: Service) -> str:
    """sha256 of the host, the model and the whole request.

    One name may stand for different models at different hosts, so the host belongs to it. Two models served
    under one name on one host are one to the store: a model on one's own machine should have a name of its
    own.
    """
    return hashlib.sha256(
        canonical({"host": service.host, "model": service.model} | content_of(request)).encode()
    ).hexdigest()


def as_plain(model: str) -> str:
    """A model's name without the folders, where it is a path of this machine."""
    for flavour in (PurePosixPath(model), PureWindowsPath(model)):
        if flavour.is_absolute():
            return flavour.name
    return model
