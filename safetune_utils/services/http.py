"""One request over HTTP: the client, the key, what a failure means, and how a reply is read."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, TypedDict, cast

from safetune_utils import secrets, strict_json
from safetune_utils.errors import SafetuneError, first_line
from safetune_utils.services.requests import REFUSED_BY_MODEL, Request, Service, as_plain
from safetune_utils.services.spending import Purse

if TYPE_CHECKING:
    import openai
    from openai.types.chat import ChatCompletionMessageParam

_LOOK_SECONDS = 10

# Refusals that concern one request only; any other 4xx would be the answer to all of them.
_ONE_REQUEST_REFUSED = {
    "content_filter",
    "content_policy_violation",
    "invalid_prompt",
    "context_length_exceeded",
    "string_above_max_length",
}


class FailedError(Exception):
    """One call failed and has no reply; the text says why."""


class Answer(TypedDict):
    """What a server's answer holds: some fields of :class:`~safetune_utils.services.requests.Reply`."""

    text: str | None
    finish: str
    reason: str
    served_model: str
    prompt_tokens: int | None
    completion_tokens: int | None


def key_for(service: Service) -> str:
    """The key, from the environment only; empty where a server on this machine needs none."""
    key = os.environ.get(service.key_variable, "").strip()
    if not key and service.host != "loopback":
        raise SafetuneError(
            f"there is no key for {service.host}: put it into the environment variable "
            f"{service.key_variable} (any word where none is needed)"
        )
    if not re.fullmatch(r"[!-~]*", key):  # the client would show it in its error
        raise SafetuneError(
            f"the key in the environment variable {service.key_variable} has a blank or a character outside "
            "ASCII in it: copy it anew"
        )
    return key


def open_client(service: Service) -> openai.OpenAI:
    """A client with the key from the environment, and the retries and the timeout of the service.

    Raises:
        SafetuneError: there is no key, or it has characters that cannot be sent.
    """
    key = key_for(service)
    import openai  # here, because it takes a second and replaying needs none of it

    # A proxy that is set in the environment would send calls to this machine's own server elsewhere.
    plain = openai.DefaultHttpxClient(trust_env=False) if service.host == "loopback" else None
    return openai.OpenAI(
        base_url=service.base_url,
        api_key=key or "none",
        timeout=service.timeout_s,
        max_retries=service.max_retries,
        http_client=plain,
    )


def check_reachable(service: Service) -> None:
    """Check, without asking it anything, that a server can be asked: there is a key, and it answers.

    Raises:
        SafetuneError: there is no key, or nothing answers at the address within ten seconds.
    """
    key_for(service)
    import httpx

    try:
        # Any status is an answer; the key is not sent. A proxy is for other machines.
        httpx.get(service.base_url, timeout=_LOOK_SECONDS, trust_env=service.host != "loopback")
    except httpx.ReadTimeout:  # it is there, and slow
        return
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SafetuneError(
            f"the server at {service.base_url} cannot be reached ({first_line(error)}): start it, or correct "
            "the address"
        ) from None


def call_once(request: Request, *, client: openai.OpenAI, service: Service, purse: Purse) -> bytes:
    """The body of the server's answer.

    Where every other call would fail too, the purse is closed, so that none of them starts.

    Raises:
        FailedError: this call failed; others may succeed.
        SafetuneError: every other call would fail for the same reason.
    """
    import openai

    try:
        answer = client.chat.completions.with_raw_response.create(
            model=service.model,
            messages=cast("list[ChatCompletionMessageParam]", list(request.messages)),
            max_tokens=request.max_tokens,
            temperature=request.temperature,
            seed=request.seed,
        )
        return answer.content
    except openai.APITimeoutError as error:
        raise FailedError(f"timed out after {tries(error)}") from None
    except openai.APIConnectionError as error:
        if type(error.__cause__).__name__ != "ConnectError":
            raise FailedError(f"the connection broke off after {tries(error)}") from None
        # Every other call would go through all its retries and fail in the same way.
        purse.close("not asked: the server could not be reached")
        raise FailedError(f"the server could not be reached after {tries(error)}") from None
    except openai.APIStatusError as error:
        status, words = error.status_code, _words(error.body, key=key_for(service))
        if error.code in _ONE_REQUEST_REFUSED:
            raise FailedError(f"refused by the server: {words}") from None
        if error.code != "insufficient_quota" and (status in (408, 409, 429) or status >= 500):
            raise FailedError(f"the server failed with {status} after {tries(error)}: {words}") from None
        # Here and not where the results are gathered, because the other threads may start calls before that.
        purse.close("not asked: the run was stopped")
        advice = {
            401: f"put a valid key into the environment variable {service.key_variable}",
            403: (
                f"use a key that may ask for '{service.model}', in the environment variable "
                f"{service.key_variable}"
            ),
            404: (
                f"does it know the model '{service.model}', and does base_url end as it should, mostly in "
                "/v1?"
            ),
            429: "add credit to the account or use another service",
        }.get(status, "correct what it names, in the service or in the requests")
        raise SafetuneError(f"{service.host} refuses with {status} ({words}): {advice}") from None


def tries(error: openai.APIError) -> str:
    """How many times a failed call was tried, in words."""
    n = int(error.request.headers.get("x-stainless-retry-count", 0)) + 1
    return f"{n} tries" if n > 1 else "1 try"


def _words(body: Any, *, key: str) -> str:
    """What the server says about an error, on one line of at most 200 characters and without the key.

    Some servers repeat the key.
    """
    if isinstance(body, dict):
        body = body.get("error", body)
    if isinstance(body, dict):
        body = body.get("message") or body.get("detail") or body
    line = " ".join(str(body or "no explanation").split())
    line = secrets.scrubbed(line, key=key)
    return line if len(line) <= 200 else line[:199] + "…"


def read_reply(body: bytes, *, key: str = "") -> Answer:
    """Read the body of a server's answer; where it repeats the key, or another secret of the environment,
    ``[key]`` stands in its place.

    Raises:
        FailedError: it is not JSON, or not a chat completion.
    """
    try:
        # Half a surrogate pair is replaced, because no file can hold it.
        answer = strict_json.parse(body.decode("utf-8-sig"), halves=True)
    except strict_json.JsonFault as fault:
        told = "was not JSON, or not all of it" if fault.is_syntax else f"cannot be read: {fault}"
        raise FailedError(f"the server's answer {told}") from None
    except UnicodeDecodeError:
        raise FailedError("the server's answer was not JSON, or not all of it") from None
    try:
        choice = answer["choices"][0]
        content, refusal = choice["message"].get("content"), choice["message"].get("refusal")
        finish = str(choice.get("finish_reason") or "unknown")
        if not isinstance(content, str | None):
            raise TypeError
    except (KeyError, IndexError, TypeError, AttributeError):
        raise FailedError("the server's answer was JSON, but not a chat completion") from None
    text = secrets.scrubbed(content, key=key) if content and content.strip() else None
    reason = ""
    if text is None:
        reason = f"{REFUSED_BY_MODEL}: {_words(refusal, key=key)}" if refusal else "the reply was empty"
        reason += {
            "length": ", cut at max_tokens",
            "content_filter": ", withheld by the server's filter",
        }.get(finish, "")
    usage = answer.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    return {
        "text": text,
        "finish": secrets.scrubbed(finish, key=key),
        "reason": reason,
        "served_model": as_plain(secrets.scrubbed(str(answer.get("model") or ""), key=key)),
        "prompt_tokens": _count(counts.get("prompt_tokens")),
        "completion_tokens": _count(counts.get("completion_tokens")),
    }


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None
