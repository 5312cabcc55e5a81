"""Asking a server that speaks OpenAI's chat protocol, so that no reply is lost and none is paid twice.

Each reply is written to the run store as soon as it arrives, as one file under ``calls/``. From then on it is
taken from there: by a second run, by another process, after the run was killed. A reply that was paid for but
cannot be used is stored too, because asking again would cost again. A call that failed is not stored, and the
next run asks for it only. Recorded replies can be replayed without key or network.

Only the owner of the store may read ``calls/``. No key is in it: a request that holds one is refused, and a
reply that repeats one is stored without it.

What cannot be known: whether a service charges for a call that timed out or broke off, and for each of its
tries.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from pydantic import TypeAdapter
from tqdm import tqdm

from safetune_utils import secrets
from safetune_utils.errors import SafetuneError
from safetune_utils.machine.files import private_folder
from safetune_utils.places import store_folder
from safetune_utils.services.http import FailedError, call_once, key_for, open_client, read_reply
from safetune_utils.services.kept import keep, kept
from safetune_utils.services.requests import Reply, Request, Service, as_plain, canonical, content_of, key_of
from safetune_utils.services.spending import Cost, Purse, check_cap, count_prompt_tokens, most_usd, usd_for
from safetune_utils.store import read_lines, write_lines
from safetune_utils.terminal import plain, shows

if TYPE_CHECKING:
    import openai


def estimate_cost(requests: Sequence[Request], *, service: Service, store: Path | None = None) -> Cost:
    """What these requests would cost now: only those without a stored reply are counted, equal ones once.

    The service's tokenizer is not available here, so prompt tokens are estimated as a third of the bytes plus
    some for each message, which is high for most texts; replies are counted with their full ``max_tokens``.
    """
    distinct = {key_of(request, service): request for request in requests}
    waiting = [request for key, request in distinct.items() if _load(_path(key, store), service) is None]
    return Cost(
        calls=len(waiting),
        already_there=len(distinct) - len(waiting),
        prompt_tokens=sum(map(count_prompt_tokens, waiting)),
        completion_tokens_at_most=sum(request.max_tokens for request in waiting),
        usd_at_most=sum(most_usd(request, service) for request in waiting),
    )


def ask(
    requests: Sequence[Request],
    *,
    service: Service,
    cap_usd: float,
    store: Path | None = None,
    progress: str = "",
) -> list[Reply]:
    """The replies to these requests, in their order; only what is not stored is asked, equal requests once.

    A call that fails gives a reply with a ``reason`` and no ``finish``; run again to ask those only. Ctrl-C
    waits for the running calls and stores their replies.

    Args:
        requests: what to ask.
        service: where to ask.
        cap_usd: the most to spend now, in USD. The estimate is compared with it before the first call, and
            what was spent before each call.
        store: the run store, by default that of the study.
        progress: a caption for a progress bar; empty for none.

    Raises:
        SafetuneError: the estimate is above the cap, there is no key, a request holds it, or the server
            refuses the key, the model or the form of the requests. Replies that had arrived are stored.
    """
    check_cap(estimate_cost(requests, service=service, store=store), cap_usd=cap_usd)
    keys = [key_of(request, service) for request in requests]
    distinct = dict(zip(keys, requests, strict=True))
    replies = {key: reply for key in distinct if (reply := _load(_path(key, store), service))}
    waiting = [key for key in distinct if key not in replies]
    if waiting:
        _check_no_key([distinct[key] for key in waiting], service)
        private_folder((store or store_folder()) / "calls")
        purse = Purse(cap_usd)
        with (
            open_client(service) as client,
            tqdm(total=len(waiting), desc=plain(progress), unit="call", disable=not shows(progress)) as bar,
            ThreadPoolExecutor(service.concurrency) as pool,
        ):
            try:
                calls = [
                    pool.submit(
                        _settle,
                        distinct[key],
                        client=client,
                        service=service,
                        purse=purse,
                        path=_path(key, store),
                    )
                    for key in waiting
                ]
                for call in as_completed(calls):
                    reply = call.result()
                    replies[reply.key] = reply
                    bar.update()
            except BaseException:
                # Leaving the block then waits for the running calls.
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    answers = []
    for key in keys:
        answers.append(replies[key])
        # A repeat is not paid again: the sum of `usd` over the replies that are not cached is what was spent.
        if replies[key].finish:
            replies[key] = replace(replies[key], cached=True)
    return answers


def record(requests: Sequence[Request], *, service: Service, store: Path | None = None, path: Path) -> None:
    """Write the stored calls of these requests as JSON Lines, in their order, for :func:`replay`.

    Raises:
        SafetuneError: some of them have no stored reply.
    """
    files = [_path(key, store) for key in dict.fromkeys(key_of(request, service) for request in requests)]
    rows = list(filter(None, (kept(file, check=_reply) for file in files)))
    if missing := len(files) - len(rows):
        raise SafetuneError(f"{missing} of {len(files)} requests have no reply in the store: ask them first")
    write_lines(path, rows)


def replay(requests: Sequence[Request], *, path: Path) -> list[Reply]:
    """The recorded replies to these requests, in their order, without key or network.

    A request is found by its content only: a recorded file holds the replies of one model, on whatever host.

    Args:
        path: a file that :func:`record` wrote.

    Raises:
        SafetuneError: the file cannot be read, or some of the requests are not in it.
    """
    try:
        rows = read_lines(path)
        recorded = {canonical(row["request"]): _reply(row) for row in rows}
    except FileNotFoundError:
        raise SafetuneError(f"there are no recorded replies at {path}: ask live and record them") from None
    except (ValueError, KeyError, TypeError):
        raise SafetuneError(f"{path} is not a file of recorded replies: record it again") from None
    if len(recorded) < len(rows):
        raise SafetuneError(
            f"{path} holds {len(rows) - len(recorded)} requests more than once, as of several models: record "
            "it again"
        )
    wanted = [canonical(content_of(request)) for request in requests]
    missing = len(set(wanted) - set(recorded))
    if missing:
        raise SafetuneError(
            f"{missing} of {len(set(wanted))} requests are not among the recorded replies in {path}: ask "
            "live, and record again"
        )
    return [recorded[content] for content in wanted]


def _check_no_key(requests: Sequence[Request], service: Service) -> None:
    """Refuse requests that would carry a secret of the environment to the server, and into the store."""
    key, texts = key_for(service), [canonical(content_of(request)) for request in requests]
    if n := sum(secrets.scrubbed(text, key=key) != text for text in texts):
        raise SafetuneError(
            f"{n} of {len(requests)} requests hold a key of this environment, such as that in "
            f"{service.key_variable}: take it out of the prompts"
        )


def _path(key: str, store: Path | None) -> Path:
    return (store or store_folder()) / "calls" / key[:2] / f"{key}.json"


_STORED_FIELDS = tuple(field.name for field in fields(Reply) if field.name != "cached")


_FORM = TypeAdapter(Reply)


def _reply(row: dict[str, Any]) -> Reply:
    """A stored call as a reply.

    Raises:
        ValueError: it has not that form.
    """
    kept = {name: row[name] for name in _STORED_FIELDS if name in row}
    return _FORM.validate_python({"cached": True} | kept)


def _load(path: Path, service: Service) -> Reply | None:
    """The stored reply of this host; ``None`` where there is none, so that it is asked."""
    row = kept(path, check=_reply)
    reply = _reply(row) if row else None
    return reply if reply and reply.host in ("", service.host) else None


def _keep(reply: Reply, request: Request, *, service: Service, path: Path) -> None:
    row: dict[str, object] = {
        "model": as_plain(service.model),
        "request": content_of(request),
        "answered": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    row |= {name: getattr(reply, name) for name in _STORED_FIELDS}
    keep(path, row)


def _settle(request: Request, *, client: openai.OpenAI, service: Service, purse: Purse, path: Path) -> Reply:
    """One request's reply: the stored one, or the server's, which is then stored."""
    private_folder(path.parent)
    lock = path.with_suffix(".lock")
    with FileLock(lock):
        if reply := _load(path, service):  # another process was first
            return reply
        at_most = most_usd(request, service)
        if reason := purse.take(at_most):
            return Reply(key=path.stem, text=None, reason=reason)
        started = time.perf_counter()
        try:
            body = call_once(request, client=client, service=service, purse=purse)
            answer = read_reply(body, key=key_for(service))
        except FailedError as error:
            return Reply(
                key=path.stem, text=None, seconds=round(time.perf_counter() - started, 3), reason=str(error)
            )
        read, written = answer["prompt_tokens"], answer["completion_tokens"]
        if read is None or written is None:
            usd, estimated = at_most, True
        else:
            usd, estimated = usd_for(service, read, written), False
        reply = Reply(
            key=path.stem,
            usd=usd,
            usd_estimated=estimated,
            seconds=round(time.perf_counter() - started, 3),
            host=service.host,
            **answer,
        )
        _keep(reply, request, service=service, path=path)
        purse.put_back(at_most - usd)
        with contextlib.suppress(OSError):  # Windows removes no open file
            lock.unlink()  # no longer needed: a process that waits for it finds the reply
    return reply
