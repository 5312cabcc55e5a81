"""Asking a server that speaks OpenAI's chat protocol, such that nothing is lost and nothing paid twice.

Each reply is written to the run store the moment it arrives, as one file under ``calls/``, and is from then on taken from
there: by a second run, by another process, after a kill. A reply that was paid for but is of no use is kept as well, for
asking again would be paid again. A call that failed is not kept, and the next run asks it alone. Recorded replies can be
replayed without key or network.

What cannot be known: whether a service charges for a call that timed out or broke off, each of its tries included.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import json
import math
import os
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath, PureWindowsPath
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from filelock import FileLock
from tqdm import tqdm

from safetune_utils.errors import SafetuneError
from safetune_utils.records import read_lines, store_folder, write_lines

if TYPE_CHECKING:
    import openai

# How the reason begins where a model says in the protocol's own field, not in its text, that it will not answer.
REFUSED_BY_MODEL = "refused by the model"

_ROLES = ("system", "user", "assistant")
# Refusals of one request that say nothing about the others; every other 4xx would meet them all.
_ONE_REQUEST_REFUSED = {"content_filter", "content_policy_violation", "invalid_prompt", "context_length_exceeded", "string_above_max_length"}
# The service's tokenizer is not at hand, so prompts are counted high: English has more than four bytes a token, other
# scripts about three; a chat template adds its marks to each message and may add a system message of its own.
_BYTES_PER_TOKEN = 3
_TOKENS_PER_MESSAGE = 8
_TOKENS_PER_REQUEST = 24


@dataclass(frozen=True, kw_only=True)
class Service:
    """Where to ask, whom, and what it costs.

    Attributes:
        base_url: the address up to and with ``/v1``.
        model: the model's name, as this server knows it.
        usd_per_million_in: the price of a million prompt tokens; 0 for one's own machine. Prices change, so the book holds no table of them.
        usd_per_million_out: the price of a million tokens of reply.
        timeout_s: seconds of silence after which a try is given up.
        max_retries: further tries after a 429, a 5xx, a timeout or a broken connection, with growing waits or those the server asks for.
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
            raise SafetuneError("base_url should be an address such as https://host/v1, without a user, a key or a question mark in it")
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", self.key_variable):
            raise SafetuneError("key_variable should be the name of an environment variable, such as OPENAI_API_KEY, not the key itself")
        if not self.model:
            raise SafetuneError("model is empty: give a name that the server knows")
        prices = (self.usd_per_million_in, self.usd_per_million_out)
        if not all(price >= 0 for price in prices) or not self.timeout_s > 0 or self.max_retries < 0 or self.concurrency < 1:
            raise SafetuneError("a service's prices and max_retries should be 0 or more, timeout_s above 0, and concurrency 1 or more")

    @property
    def host(self) -> str:
        """The host asked, without its port: a local server's port is chance. Every name of this machine is ``loopback``."""
        host = urlsplit(self.base_url).hostname or ""
        try:
            local = ipaddress.ip_address(host).is_loopback
        except ValueError:
            local = host == "localhost"
        return "loopback" if local else host


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked: messages, each with a ``role`` (system, user or assistant) and its ``content``, and how to answer them."""

    messages: tuple[dict[str, str], ...]
    max_tokens: int
    temperature: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.messages or not all(map(_is_message, self.messages)):
            raise SafetuneError(f"a request needs messages, each with a role ({', '.join(_ROLES)}) and a content of whole characters, and nothing else")
        if self.max_tokens < 1 or not 0 <= self.temperature < math.inf:
            raise SafetuneError("a request's max_tokens should be 1 or more and its temperature 0 or more")
        object.__setattr__(self, "temperature", float(self.temperature))  # 0 and 0.0 are one request, and have one key


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came of a request.

    Attributes:
        key: sha256 of host, model and request; the name of its file.
        text: the answer, also one cut at ``max_tokens``; ``None`` where there is none to use.
        finish: why the server stopped, in its word (``unknown`` where it gave none); empty where no reply came.
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


@dataclass(frozen=True)
class Estimate:
    """What asking would take: an estimate for the prompts, counted high, and an upper bound for the replies."""

    calls: int
    already_there: int
    prompt_tokens: int
    completion_tokens_at_most: int
    usd_at_most: float


def estimate(requests: Sequence[Request], *, service: Service, store: Path | None = None) -> Estimate:
    """What these requests would take now: only those count that the store holds no reply to, equal ones once.

    The service's tokenizer is not at hand, so prompt tokens are estimated as a third of the bytes and some for each
    message, which is high for most texts; replies are reckoned at their full ``max_tokens``.
    """
    distinct = {_key(request, service): request for request in requests}
    waiting = [request for key, request in distinct.items() if not _path(key, store).is_file()]
    return Estimate(
        calls=len(waiting),
        already_there=len(distinct) - len(waiting),
        prompt_tokens=sum(map(_prompt_tokens, waiting)),
        completion_tokens_at_most=sum(request.max_tokens for request in waiting),
        usd_at_most=sum(_usd_at_most(request, service) for request in waiting),
    )


def check_cap(ahead: Estimate, *, cap_usd: float) -> None:
    """Refuse an estimate above the cap.

    Raises:
        SafetuneError: it is above, with both figures.
    """
    if not ahead.usd_at_most <= cap_usd:
        raise SafetuneError(
            f"{ahead.calls} calls may cost up to {ahead.usd_at_most:.4g} USD, above the cap of {cap_usd:.4g} USD: raise cap_usd, ask less, or lower max_tokens"
        )


def ask(requests: Sequence[Request], *, service: Service, cap_usd: float, store: Path | None = None, progress: str = "") -> list[Reply]:
    """The replies to these requests, in their order; only what the store lacks is asked, equal requests once.

    Args:
        requests: what to ask.
        service: where to ask.
        cap_usd: the most to spend now. The estimate is held against it before the first call, and the spending before each.
        store: the run store, by default that of the study.
        progress: a caption for a progress bar; empty for none.

    A call that fails leaves a reply with a ``reason`` and no ``finish``; run again to ask those alone. Ctrl-C waits for
    the calls under way and keeps their replies.

    Raises:
        SafetuneError: the estimate is above the cap, there is no key, or the server refuses the key, the model or the
            form of the requests. What had arrived is kept.
    """
    check_cap(estimate(requests, service=service, store=store), cap_usd=cap_usd)
    keys = [_key(request, service) for request in requests]
    distinct = dict(zip(keys, requests, strict=True))
    replies = {key: reply for key in distinct if (reply := _load(_path(key, store)))}
    waiting = [key for key in distinct if key not in replies]
    if waiting:
        purse = _Purse(cap_usd)
        with (
            open_client(service) as client,
            tqdm(total=len(waiting), desc=progress, unit="call", disable=not progress) as bar,
            ThreadPoolExecutor(service.concurrency) as pool,
        ):
            try:
                calls = [pool.submit(_settle, distinct[key], client=client, service=service, purse=purse, path=_path(key, store)) for key in waiting]
                for call in as_completed(calls):
                    reply = call.result()
                    replies[reply.key] = reply
                    bar.update()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)  # leaving the block then waits for the calls under way
                raise
    answers = []
    for key in keys:
        answers.append(replies[key])
        if replies[key].finish:  # a repeat is not paid again: over the replies not cached, `usd` sums to what was spent
            replies[key] = replace(replies[key], cached=True)
    return answers


def record(requests: Sequence[Request], *, service: Service, store: Path | None = None, path: Path) -> None:
    """Write the stored calls of these requests as JSON Lines, in their order, for :func:`replay`.

    Raises:
        SafetuneError: some of them have no stored reply.
    """
    files = [_path(key, store) for key in dict.fromkeys(_key(request, service) for request in requests)]
    missing = sum(not file.is_file() for file in files)
    if missing:
        raise SafetuneError(f"{missing} of {len(files)} requests have no reply in the store: ask them first")
    write_lines(path, [_stored(file) for file in files])


def replay(requests: Sequence[Request], *, path: Path) -> list[Reply]:
    """The recorded replies to these requests, in their order, without key or network.

    A request is found by its content alone: a recorded file holds the replies of one model, wherever that was served.

    Raises:
        SafetuneError: the file cannot be read, or lacks some of the requests.
    """
    try:
        rows = read_lines(path)
        recorded = {_canonical(row["request"]): _reply(row) for row in rows}
    except FileNotFoundError:
        raise SafetuneError(f"there are no recorded replies at {path}: ask live and record them") from None
    except (ValueError, KeyError, TypeError):
        raise SafetuneError(f"{path} is not a file of recorded replies: record it anew") from None
    if len(recorded) < len(rows):
        raise SafetuneError(f"{path} holds {len(rows) - len(recorded)} requests more than once, as of several models: record it anew")
    wanted = [_canonical(_content(request)) for request in requests]
    missing = len(set(wanted) - set(recorded))
    if missing:
        raise SafetuneError(f"{missing} of {len(set(wanted))} requests are not among the recorded replies in {path}: ask live, and record anew")
    return [recorded[content] for content in wanted]


# ------------------------------------------------------------------------------------------------------- keys and files


def _is_message(message: Any) -> bool:
    if not isinstance(message, dict) or set(message) != {"role", "content"} or message["role"] not in _ROLES:
        return False
    content = message["content"]
    return isinstance(content, str) and content == content.encode(errors="ignore").decode()  # half a surrogate pair cannot be sent


def _content(request: Request) -> dict[str, Any]:
    return {"messages": list(request.messages), "max_tokens": request.max_tokens, "temperature": request.temperature, "seed": request.seed}


def _canonical(content: dict[str, Any]) -> str:
    return json.dumps(content, sort_keys=True)


def _key(request: Request, service: Service) -> str:
    """sha256 of the host, the model and the whole request.

    One name may stand for different models at different hosts, so the host belongs to it. Two models served under one
    name on one host are one to the store: a model on one's own machine should have a name of its own.
    """
    return hashlib.sha256(_canonical({"host": service.host, "model": service.model} | _content(request)).encode()).hexdigest()


def _path(key: str, store: Path | None) -> Path:
    return (store or store_folder()) / "calls" / key[:2] / f"{key}.json"


def _reply(row: dict[str, Any]) -> Reply:
    return Reply(cached=True, **{field.name: row[field.name] for field in fields(Reply) if field.name != "cached"})


def _stored(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError:
        raise SafetuneError(f"the stored call {path} is damaged: delete it, and it is asked again") from None


def _load(path: Path) -> Reply | None:
    return _reply(_stored(path)) if path.is_file() else None


def _keep(reply: Reply, request: Request, *, service: Service, path: Path) -> None:
    """Write a reply beside its place and rename it, so that it is there whole or not at all."""
    row = {"model": _plain(service.model), "request": _content(request), "answered": datetime.now(UTC).isoformat(timespec="seconds")}
    row |= {field.name: getattr(reply, field.name) for field in fields(Reply) if field.name != "cached"}
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(row, file, indent=1)
        file.flush()
        os.fsync(file.fileno())  # paid for: it should outlive a power cut, too
    partial.replace(path)


def _plain(model: str) -> str:
    """A model's name without the folders, where it is a path of this machine."""
    for flavour in (PurePosixPath(model), PureWindowsPath(model)):
        if flavour.is_absolute():
            return flavour.name
    return model


# --------------------------------------------------------------------------------------------------------------- money


def _prompt_tokens(request: Request) -> int:
    texts = sum(math.ceil(len(message["content"].encode()) / _BYTES_PER_TOKEN) + _TOKENS_PER_MESSAGE for message in request.messages)
    return texts + _TOKENS_PER_REQUEST


def _usd(service: Service, prompt_tokens: int, completion_tokens: int) -> float:
    return (prompt_tokens * service.usd_per_million_in + completion_tokens * service.usd_per_million_out) / 1e6


def _usd_at_most(request: Request, service: Service) -> float:
    return _usd(service, _prompt_tokens(request), request.max_tokens)


class _Purse:
    """What may still be spent, shared by the threads: a call takes out the most it may cost and puts back the rest.

    The estimate may be too low, so the cap is held at each call. A call that failed puts nothing back, for it may have been charged.
    """

    def __init__(self, usd: float) -> None:
        self._left = usd
        self._closed = ""
        self._spent = f"not asked: the cap of {usd:.4g} USD is spent or bound"
        self._lock = Lock()

    def take(self, usd: float) -> str:
        """Take out so much; the reason in words where no call may start."""
        with self._lock:
            if not self._closed and usd <= self._left + 1e-9:  # the sum may round above the estimate
                self._left -= usd
                return ""
            return self._closed or self._spent

    def put_back(self, usd: float) -> None:
        with self._lock:
            self._left += usd

    def close(self, reason: str) -> None:
        with self._lock:
            self._closed = self._closed or reason


# --------------------------------------------------------------------------------------------------------------- a call


class _FailedError(Exception):
    """No reply came; the text says why."""


def _secret(service: Service) -> str:
    """The key, from the environment only; empty where a server on this machine needs none."""
    key = os.environ.get(service.key_variable, "").strip()
    if not key and service.host != "loopback":
        raise SafetuneError(f"there is no key for {service.host}: put it into the environment variable {service.key_variable} (any word where none is needed)")
    if not re.fullmatch(r"[!-~]*", key):  # the client would show it in its error
        raise SafetuneError(f"the key in the environment variable {service.key_variable} has a blank or a character outside ASCII in it: copy it anew")
    return key


def open_client(service: Service) -> openai.OpenAI:
    """A client with the key of the environment, the tries and the timeout of the service.

    Raises:
        SafetuneError: there is no key, or none that can be sent.
    """
    key = _secret(service)
    import openai  # here, since it takes a second and replay needs none of it

    # A proxy of the environment is right for the world, but would carry calls to this machine's own server elsewhere.
    plain = openai.DefaultHttpxClient(trust_env=False) if service.host == "loopback" else None
    return openai.OpenAI(base_url=service.base_url, api_key=key or "none", timeout=service.timeout_s, max_retries=service.max_retries, http_client=plain)


def _settle(request: Request, *, client: openai.OpenAI, service: Service, purse: _Purse, path: Path) -> Reply:
    """One request's reply: the stored one, or the server's, which is then stored."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_suffix(".lock")
    with FileLock(lock):
        if reply := _load(path):  # another process was first
            return reply
        at_most = _usd_at_most(request, service)
        if reason := purse.take(at_most):
            return Reply(key=path.stem, text=None, reason=reason)
        started = time.perf_counter()
        try:
            answer = _read(_call(request, client=client, service=service, purse=purse))
        except _FailedError as error:
            return Reply(key=path.stem, text=None, seconds=round(time.perf_counter() - started, 3), reason=str(error))
        counts = (answer["prompt_tokens"], answer["completion_tokens"])
        counted = None not in counts
        usd = _usd(service, *counts) if counted else at_most
        reply = Reply(key=path.stem, usd=usd, usd_estimated=not counted, seconds=round(time.perf_counter() - started, 3), **answer)
        _keep(reply, request, service=service, path=path)
        purse.put_back(at_most - usd)
        with contextlib.suppress(OSError):  # Windows removes no open file
            lock.unlink()  # no longer needed: whoever waits for it finds the reply
    return reply


def _call(request: Request, *, client: openai.OpenAI, service: Service, purse: _Purse) -> bytes:
    """The body of the server's answer.

    Raises:
        _FailedError: this call failed, others may not.
        SafetuneError: no call would fare better.
    """
    import openai

    try:
        answer = client.chat.completions.with_raw_response.create(
            model=service.model, messages=list(request.messages), max_tokens=request.max_tokens, temperature=request.temperature, seed=request.seed
        )
        return answer.content
    except openai.APITimeoutError as error:
        raise _FailedError(f"timed out after {tries(error)}") from None
    except openai.APIConnectionError as error:
        if type(error.__cause__).__name__ != "ConnectError":
            raise _FailedError(f"the connection broke off after {tries(error)}") from None
        # Every other call would wait through its retries to learn the same.
        purse.close("not asked: the server could not be reached")
        raise _FailedError(f"the server could not be reached after {tries(error)}") from None
    except openai.APIStatusError as error:
        status, words = error.status_code, _words(error.body, secret=_secret(service))
        if error.code in _ONE_REQUEST_REFUSED:
            raise _FailedError(f"refused by the server: {words}") from None
        if error.code != "insufficient_quota" and (status in (408, 409, 429) or status >= 500):
            raise _FailedError(f"the server failed with {status} after {tries(error)}: {words}") from None
        purse.close("not asked: the run was stopped")  # now, for the threads may be ahead of the one that gathers
        mend = {
            401: f"put a valid key into the environment variable {service.key_variable}",
            403: f"use a key that may ask for '{service.model}', in the environment variable {service.key_variable}",
            404: f"does it know the model '{service.model}', and does base_url end as it should, mostly in /v1?",
            429: "add credit to the account or use another service",
        }.get(status, "correct what it names, in the service or in the requests")
        raise SafetuneError(f"{service.host} refuses with {status} ({words}): {mend}") from None


def tries(error: openai.APIError) -> str:
    """How often a failed call was tried, in words."""
    n = int(error.request.headers.get("x-stainless-retry-count", 0)) + 1
    return f"{n} tries" if n > 1 else "1 try"


def _words(body: Any, *, secret: str = "") -> str:
    """What the server says of an error, on one line, cut, and without the key, which some servers repeat."""
    if isinstance(body, dict):
        body = body.get("error", body)
    if isinstance(body, dict):
        body = body.get("message") or body.get("detail") or body
    line = " ".join(str(body or "no explanation").split())
    line = line.replace(secret, "[key]") if secret else line
    return line if len(line) <= 200 else line[:199] + "…"


def _read(body: bytes) -> dict[str, Any]:
    """The fields of a reply that the server's answer holds."""
    try:
        answer = json.loads(body)
    except ValueError:
        raise _FailedError("the server's answer was not JSON, or not all of it") from None
    try:
        choice = answer["choices"][0]
        content, refusal = choice["message"].get("content"), choice["message"].get("refusal")
        finish = str(choice.get("finish_reason") or "unknown")
        if not isinstance(content, str | None):
            raise TypeError
    except (KeyError, IndexError, TypeError, AttributeError):
        raise _FailedError("the server's answer was JSON, but not a chat completion") from None
    text = content.encode(errors="replace").decode() if content and content.strip() else None  # no half characters, which no file takes
    reason = ""
    if text is None:
        reason = f"{REFUSED_BY_MODEL}: {_words(refusal)}" if refusal else "the reply was empty"
        reason += {"length": ", cut at max_tokens", "content_filter": ", withheld by the server's filter"}.get(finish, "")
    usage = answer.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    return {
        "text": text, "finish": finish, "reason": reason, "served_model": _plain(str(answer.get("model") or "")),
        "prompt_tokens": _count(counts.get("prompt_tokens")), "completion_tokens": _count(counts.get("completion_tokens")),
    }  # fmt: skip


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None
