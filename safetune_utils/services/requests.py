"""What a server is asked and what it replies, as plain data, and the key under which a reply is stored."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import TypedDict
from urllib.parse import urlsplit

from safetune_utils import secrets
from safetune_utils.errors import SafetuneError

# How the reason begins where a model says in the protocol's own field, not in its text, that it will not
# answer.
REFUSED_BY_MODEL = "refused by the model"

_ROLES = ("system", "user", "assistant")
_DEFAULT_KEY = "OPENAI_API_KEY"


@dataclass(frozen=True, kw_only=True)
class Service:
    """Which server to ask, which model, and what it costs.

    Attributes:
        base_url: the address up to and including ``/v1``.
        model: the model's name, as this server knows it.
        usd_per_million_in: the price of a million prompt tokens in USD, 0 or more; 0 for one's own machine.
            Prices change, so the book has no table of them.
        usd_per_million_out: the price of a million tokens of the reply in USD, 0 or more.
        timeout_s: seconds without a reply after which a try is stopped, above 0.
        max_retries: further tries after a 429, a 5xx, a timeout or a broken connection, 0 or more; the waits
            between them grow, or are as long as the server asks for.
        concurrency: calls that run at the same time, 1 or more.
        key_variable: the name of the environment variable with the key; a server on this machine needs none.

    Raises:
        SafetuneError: one of these is empty, of the wrong form or out of range.
    """

    base_url: str
    model: str
    usd_per_million_in: float = 0.0
    usd_per_million_out: float = 0.0
    timeout_s: float = 60
    max_retries: int = 4
    concurrency: int = 4
    key_variable: str = _DEFAULT_KEY

    def __post_init__(self) -> None:
        # These errors repeat no value that was given, because a key may be in the wrong place.
        form = r"https?://(\[[0-9a-fA-F:]+\]|[\w.-]+)(:\d{1,5})?(/[\w./-]*)?"
        if not re.fullmatch(form, self.base_url) or not _can_be_read(self.base_url):
            raise SafetuneError(
                "base_url should be an address such as https://host/v1, without a user, a key or a question "
                "mark in it"
            )
        if name := secrets.named_in({"base_url": self.base_url, "model": self.model}):
            raise SafetuneError(
                f"{name} holds a key, or what looks like one: take it out, and put it into the environment "
                f"variable {_DEFAULT_KEY}"
            )
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", self.key_variable):
            raise SafetuneError(
                "key_variable should be the name of an environment variable, such as OPENAI_API_KEY, not "
                "the key itself"
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
                "a service's prices and max_retries should be 0 or more, timeout_s above 0, and concurrency "
                "1 or more"
            )

    @property
    def host(self) -> str:
        """The host, with its port where the address names one: behind another port is another server.

        Every name of this machine is ``loopback``, without a port, because a local server may get another one
        each time.
        """
        address = urlsplit(self.base_url)
        host = address.hostname or ""
        try:
            local = ipaddress.ip_address(host).is_loopback
        except ValueError:
            local = host == "localhost"
        usual = {"http": 80, "https": 443}[address.scheme]
        port = "" if address.port in (None, usual) else f":{address.port}"
        return "loopback" if local else f"{host}{port}"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked, and how it is to be answered.

    Attributes:
        messages: each with a ``role`` (system, user or assistant) and its ``content``, and nothing else.
        max_tokens: longest reply in tokens, 1 or more.
        temperature: 0 or more; 0 takes the most likely token.
        seed: of the server's sampling; not every server uses it.

    Raises:
        SafetuneError: one of these is missing, of the wrong form or out of range.
    """

    messages: tuple[dict[str, str], ...]
    max_tokens: int
    temperature: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.messages or not all(map(_is_message, self.messages)):
            raise SafetuneError(
                f"a request needs messages, each with a role ({', '.join(_ROLES)}) and a content of whole "
                "characters, and nothing else"
            )
        if self.max_tokens < 1 or not 0 <= self.temperature < math.inf:
            raise SafetuneError("a request's max_tokens should be 1 or more and its temperature 0 or more")
        # 0 and 0.0 are the same request and have the same key.
        object.__setattr__(self, "temperature", float(self.temperature))


@dataclass(frozen=True, kw_only=True)
class Reply:
    """The result of a request.

    Attributes:
        key: sha256 of host, model and request; the name of its file.
        text: the answer, also one cut at ``max_tokens``; ``None`` where there is none to use.
        finish: why the server stopped, in its own word (``unknown`` where it gave none); empty where no reply
            came.
        prompt_tokens: as the server counted them; ``None`` where it did not.
        completion_tokens: likewise, for the reply.
        usd: what the reply cost when it was paid, in USD; 0 where no reply came.
        usd_estimated: whether ``usd`` is the estimated maximum, because the server counted no tokens.
        seconds: from the call to the reply, waits and retries included.
        cached: whether it was already stored, so that nothing was paid for it now.
        reason: why there is no text, in words; empty where there is one.
        served_model: the model's name as the server reports it, without the folders of a path.
        host: that gave the reply, see :attr:`Service.host`; empty in replies stored before it was noted.
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
    host: str = ""

    @property
    def truncated(self) -> bool:
        """Whether the reply was cut at ``max_tokens``."""
        return self.finish == "length"


def _can_be_read(address: str) -> bool:
    """Whether the port and the host in brackets of an address are what they can be."""
    try:
        return (urlsplit(address).port or 1) > 0
    except ValueError:
        return False


def _is_message(message: object) -> bool:
    if not isinstance(message, dict) or set(message) != {"role", "content"} or message["role"] not in _ROLES:
        return False
    content = message["content"]
    # Half a surrogate pair cannot be sent.
    return isinstance(content, str) and content == content.encode(errors="ignore").decode()


class Content(TypedDict):
    """A request as it is stored and hashed, see :class:`Request`."""

    messages: list[dict[str, str]]
    max_tokens: int
    temperature: float
    seed: int


def content_of(request: Request) -> Content:
    """A request as plain data, to be written as JSON."""
    return {
        "messages": list(request.messages),
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
    }


def canonical(content: Mapping[str, object]) -> str:
    """The one JSON text that a request's content has, whatever the order of its entries."""
    return json.dumps(content, sort_keys=True)


def key_of(request: Request, service: Service) -> str:
    """sha256, in hexadecimal, of the host, the model and the whole request.

    The host is part of it, because one name may mean different models on different hosts. Two models with the
    same name on the same host are the same to the store: give each model on your own machine its own name.
    """
    asked = {"host": service.host, "model": service.model, **content_of(request)}
    return hashlib.sha256(canonical(asked).encode()).hexdigest()


def as_plain(model: str) -> str:
    """A model's name without the folders, where it is a path on this machine."""
    for flavour in (PurePosixPath(model), PureWindowsPath(model)):
        if flavour.is_absolute():
            return flavour.name
    return model
