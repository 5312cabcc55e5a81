"""Asking a server: real HTTP to a local one that misbehaves on request and counts what reaches it."""

from __future__ import annotations

import contextlib
import http.server
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from safetune_utils import places, store
from safetune_utils.errors import SafetuneError
from safetune_utils.models import embedded
from safetune_utils.services import chat
from safetune_utils.services.requests import Request, Service

MARKER = "sk-marker-0123456789"
SOON = {"Retry-After": "0.02"}


def completion(text: Any = "Fine.", finish: str = "stop", **changes: Any) -> bytes:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
    body = {
        "model": "/srv/weights/tiny-1",
        "choices": [choice],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }
    return json.dumps(body | changes).encode()


def refusal(message: str, **more: str) -> bytes:
    return json.dumps({"error": {"message": message} | more}).encode()


class Server(http.server.ThreadingHTTPServer):
    """Does what the first word of the last message says; `counts` holds how often each message arrived."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.counts: Counter[str] = Counter()
        self.keys: set[str] = set()
        self.gate = threading.Event()  # holds back the replies to "held", and "slow" ones for good
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is part of the play."""


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][-1]["content"]
        with self.server.lock:
            self.server.counts[asked] += 1
            self.server.keys.add(self.headers["Authorization"])
            times = self.server.counts[asked]
        status, headers, body, promised = 200, {}, completion(f"Fine: {asked}"), 0
        match asked.split()[0]:
            case "busy-once" if times == 1:
                status, headers, body = 429, SOON, refusal("slow down")
            case "busy":
                status, headers, body = 429, SOON, refusal("slow down")
            case "broke":
                status, headers, body = 429, SOON, refusal("no credit", code="insufficient_quota")
            case "down-twice" if times <= 2:
                status, headers, body = 500, SOON, b"<html>\n oops"
            case "down":
                status, headers, body = 503, SOON, b"<html>\n oops"
            case "down-first" if times == 1:
                status, headers, body = 500, {"x-should-retry": "false"}, b""
            case "slow":
                self.server.gate.wait(20)
            case "held":
                self.server.gate.wait(20)
            case "steady":
                time.sleep(0.05)
            case "cut":
                promised, body = len(body), body[:40]
            case "not-json":
                body = b"<html>hello"
            case "half-json":
                body = body[:40]
            case "no-choices":
                body = b'{"choices": []}'
            case "odd":
                body = b'{"choices": [{"message": {"content": ["a", "b"]}}]}'
            case "list":
                body = b"[1]"
            case "empty":
                body = completion(" ")
            case "null":
                body = completion(None, finish="length")
            case "long":
                body = completion("Once upon", finish="length")
            case "uncounted":
                body = completion(usage=None)
            case "dear":
                body = completion(usage={"prompt_tokens": 10, "completion_tokens": 900_000})
            case "filtered":
                status, body = 400, refusal("against the policy", code="content_filter")
            case "400" | "401" | "403" | "404" as code:
                status, body = int(code), refusal(f"no\nway with {self.headers['Authorization']}")
        self.send_response(status)
        for name, value in (
            {"Content-Type": "application/json", "Content-Length": str(promised or len(body))} | headers
        ).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with Server() as running:
        yield running
        running.gate.set()
        running.shutdown()


def service(server: Server, **changes: Any) -> Service:
    usual = Service(
        base_url=server.url, model="tiny", usd_per_million_in=1.0, usd_per_million_out=2.0, max_retries=2
    )
    return replace(usual, **changes)


def asking(*texts: str, max_tokens: int = 50) -> list[Request]:
    return [
        Request(
            messages=({"role": "system", "content": "Be kind."}, {"role": "user", "content": text}),
            max_tokens=max_tokens,
        )
        for text in texts
    ]


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def stored() -> list[Path]:
    return sorted((places.store_folder() / "calls").rglob("*.json"))


# ------------------------------------------------------------------------------------------------- replies
# and the store


def test_replies_come_in_order_with_their_counts_and_cost_and_are_stored_once(server: Server) -> None:
    texts = [f"question {i}" for i in range(9)]
    requests = asking(*texts, texts[3])
    replies = chat.ask(requests, service=service(server), cap_usd=1)
    assert [reply.text for reply in replies] == [f"Fine: {text}" for text in [*texts, texts[3]]]
    assert [reply.cached for reply in replies] == [False] * 9 + [True]
    assert server.counts == Counter(texts)
    first = replies[0]
    assert (first.prompt_tokens, first.completion_tokens, first.usd, first.usd_estimated) == (
        10,
        5,
        20e-6,
        False,
    )
    assert (first.finish, first.truncated, first.reason, first.served_model) == ("stop", False, "", "tiny-1")
    assert len(stored()) == 9
    kept = json.loads(
        (places.store_folder() / "calls" / first.key[:2] / f"{first.key}.json").read_text("utf-8")
    )
    assert kept["request"]["messages"] == list(requests[0].messages)
    assert (kept["model"], kept["text"], kept["usd"]) == ("tiny", "Fine: question 0", 20e-6)
    assert kept["answered"].endswith("+00:00")
    assert {path.suffix for path in (places.store_folder() / "calls").rglob("*.*")} == {
        ".json"
    }  # no partial file, no lock

    again = chat.ask(requests, service=service(server), cap_usd=0)
    assert again == [replace(reply, cached=True) for reply in replies]
    assert server.counts == Counter(texts)


def test_another_seed_length_temperature_model_or_host_is_another_call(server: Server) -> None:
    (request,) = asking("hello")
    others = [replace(request, seed=1), replace(request, max_tokens=51), replace(request, temperature=0.5)]
    keys = {
        reply.key
        for reply in chat.ask(
            [request, replace(request, temperature=0), *others], service=service(server), cap_usd=1
        )
    }
    assert len(keys) == server.counts["hello"] == 4
    chat.ask([request], service=service(server, model="other"), cap_usd=1)
    assert server.counts["hello"] == 5
    elsewhere = replace(service(server), base_url="https://example.org/v1")
    assert chat.estimate_cost([request], service=elsewhere).calls == 1
    assert (
        chat.estimate_cost([request], service=replace(elsewhere, base_url="http://localhost:1/v1")).calls == 0
    )  # a local port is chance


@pytest.mark.parametrize(("text", "times"), [("busy-once", 2), ("down-twice", 3)])
def test_a_passing_failure_is_tried_again(server: Server, text: str, times: int) -> None:
    (reply,) = chat.ask(asking(text), service=service(server), cap_usd=1)
    assert (reply.text, server.counts[text]) == (f"Fine: {text}", times)


FAILURES = {
    "busy": (3, "the server failed with 429 after 3 tries: slow down"),
    "down": (3, "the server failed with 503 after 3 tries: <html> oops"),
    "down-first": (1, "the server failed with 500 after 1 try: no explanation"),
    "not-json": (1, "the server's answer was not JSON, or not all of it"),
    "half-json": (1, "the server's answer was not JSON, or not all of it"),
    "no-choices": (1, "the server's answer was JSON, but not a chat completion"),
    "odd": (1, "the server's answer was JSON, but not a chat completion"),
    "list": (1, "the server's answer was JSON, but not a chat completion"),
    "filtered": (1, "refused by the server: against the policy"),
}


def test_failures_are_told_the_rest_completes_and_only_they_are_asked_again(server: Server) -> None:
    good = [f"good {i}" for i in range(4)]
    requests = asking(*[text for pair in zip(FAILURES, good * 3, strict=False) for text in pair])
    for run in (1, 2):
        replies = chat.ask(requests, service=service(server), cap_usd=1)
        by_text = {
            request.messages[-1]["content"]: reply for request, reply in zip(requests, replies, strict=True)
        }
        for text in good:
            assert (by_text[text].text, server.counts[text]) == (f"Fine: {text}", 1)
        for text, (tries, reason) in FAILURES.items():
            reply = by_text[text]
            if text == "down-first" and run == 2:
                assert reply.text == "Fine: down-first"
                continue
            assert (reply.text, reply.finish, reply.usd, reply.cached, reply.reason) == (
                None,
                "",
                0,
                False,
                reason,
            )
            assert server.counts[text] == tries * run
        assert len(stored()) == len(good) + run - 1


def test_a_slow_reply_and_a_cut_one_are_failures_after_their_tries(server: Server) -> None:
    replies = chat.ask(
        asking("slow", "cut", "good"), service=service(server, timeout_s=0.3, max_retries=1), cap_usd=1
    )
    assert [reply.reason for reply in replies] == [
        "timed out after 2 tries",
        "the connection broke off after 2 tries",
        "",
    ]
    assert server.counts == {"slow": 2, "cut": 2, "good": 1}
    assert len(stored()) == 1
    server.gate.set()
    again = chat.ask(asking("slow", "good"), service=service(server), cap_usd=1)
    assert [(reply.text, reply.cached) for reply in again] == [("Fine: slow", False), ("Fine: good", True)]


def test_a_paid_reply_without_use_is_kept_and_a_cut_one_keeps_its_text(server: Server) -> None:
    requests = asking("empty", "null", "long", "uncounted", max_tokens=50)
    for _ in range(2):
        empty, null, long, uncounted = chat.ask(requests, service=service(server), cap_usd=1)
        assert (empty.text, empty.reason, empty.usd) == (None, "the reply was empty", 20e-6)
        assert (null.text, null.reason, null.truncated) == (
            None,
            "the reply was empty, cut at max_tokens",
            True,
        )
        assert (long.text, long.reason, long.truncated) == ("Once upon", "", True)
        assert (
            uncounted.text,
            uncounted.prompt_tokens,
            uncounted.completion_tokens,
            uncounted.usd_estimated,
        ) == ("Fine.", None, None, True)
        assert (
            uncounted.usd
            == chat.estimate_cost(requests[3:], service=service(server, model="new")).usd_at_most
            > 0
        )
    assert set(server.counts.values()) == {1}


def test_a_server_that_is_not_there_is_told_after_the_calls_under_way(server: Server) -> None:
    with socket.socket() as reserved:  # bound, not listening: the port refuses and is nobody else's
        reserved.bind(("127.0.0.1", 0))
        nowhere = replace(
            service(server, max_retries=1, concurrency=2),
            base_url=f"http://127.0.0.1:{reserved.getsockname()[1]}/v1",
        )
        replies = chat.ask(asking(*"abcdefgh"), service=nowhere, cap_usd=1)
    reasons = Counter(reply.reason for reply in replies)
    assert reasons.keys() == {
        "the server could not be reached after 2 tries",
        "not asked: the server could not be reached",
    }
    assert reasons["the server could not be reached after 2 tries"] <= 2
    assert all(reply.text for reply in chat.ask(asking(*"abcdefgh"), service=service(server), cap_usd=1))


def test_a_proxy_of_the_environment_does_not_take_calls_to_this_machine(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Server() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url.removesuffix("/v1"))
        assert chat.ask(asking("hello"), service=service(server), cap_usd=1)[0].text
        proxy.shutdown()
    assert (server.counts["hello"], proxy.counts["hello"]) == (1, 0)


def test_a_damaged_file_is_told_and_not_paid_anew(server: Server) -> None:
    chat.ask(asking("hello"), service=service(server), cap_usd=1)
    stored()[0].write_text("{", "utf-8")
    with pytest.raises(SafetuneError, match="damaged: delete it"):
        chat.ask(asking("hello"), service=service(server), cap_usd=1)
    assert server.counts["hello"] == 1


def test_a_reply_is_in_the_store_whole_or_not_at_all(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(OSError, match="No space left"):
            chat.ask(asking("hello"), service=service(server), cap_usd=1)
    assert stored() == []
    assert chat.ask(asking("hello"), service=service(server), cap_usd=1)[0].text


# -----------------------------------------------------------------------------------------------------
# refusals and keys


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("400", "correct what it names"),
        ("401", "put a valid key into the environment variable OPENAI_API_KEY"),
        ("403", "use a key that may ask for 'tiny'"),
        ("404", "does it know the model 'tiny'"),
        ("broke", "add credit"),
    ],
)
def test_what_no_other_call_would_survive_stops_at_once_in_one_line(
    server: Server, monkeypatch: pytest.MonkeyPatch, text: str, mend: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", MARKER)
    chat.ask(asking("good"), service=service(server), cap_usd=1)
    with pytest.raises(SafetuneError, match=mend) as caught:
        chat.ask(
            asking("good", *(f"{text} {i}" for i in range(20))),
            service=service(server, concurrency=2, max_retries=1),
            cap_usd=1,
        )
    assert "\n" not in str(caught.value)
    assert MARKER not in str(caught.value)
    assert sum(count > 0 for asked, count in server.counts.items() if asked != "good") <= 2
    assert len(stored()) == 1


def test_the_key_goes_to_the_server_and_nowhere_else(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog, capfd, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_KEY", f" {MARKER}\n")
    where = service(server, key_variable="MY_KEY")
    requests = asking("good", "empty", "busy-once")
    replies = chat.ask([*requests, *asking("down")], service=where, cap_usd=1, progress="asking")
    chat.record(requests, service=where, path=tmp_path / "recorded.jsonl")
    with pytest.raises(SafetuneError) as caught:
        chat.ask(asking("401"), service=where, cap_usd=1)
    assert server.keys == {f"Bearer {MARKER}"}
    shown = [
        caplog.text,
        *capfd.readouterr(),
        repr(replies),
        repr(where),
        str(caught.value),
        repr(caught.value),
    ]
    files = [path.read_text("utf-8") for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > len(requests)
    assert "asking" in shown[2]
    assert not any(MARKER in text for text in [*shown, *files])


def test_a_server_elsewhere_needs_a_key_and_a_bad_one_is_not_shown(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = replace(service(server), base_url="https://models.invalid/v1")
    with pytest.raises(
        SafetuneError,
        match=r"no key for models\.invalid: put it into the environment variable OPENAI_API_KEY",
    ):
        chat.ask(asking("hello"), service=away, cap_usd=1)
    for bad in (f"{MARKER}…", f"{MARKER} x"):
        monkeypatch.setenv("OPENAI_API_KEY", bad)
        with pytest.raises(SafetuneError, match="copy it anew") as caught:
            chat.ask(asking("hello"), service=service(server), cap_usd=1)
        assert MARKER not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({"base_url": f"https://user:{MARKER}@host/v1"}, "base_url should be"),
        ({"base_url": f"https://host/v1?key={MARKER}"}, "base_url should be"),
        ({"base_url": "host/v1"}, "base_url should be"),
        ({"key_variable": MARKER}, "not the key itself"),
        ({"model": ""}, "model is empty"),
        ({"usd_per_million_in": -1.0}, "prices"),
        ({"concurrency": 0}, "concurrency"),
    ],
)
def test_a_wrong_service_is_told_without_showing_what_may_be_a_key(
    server: Server, changes: dict[str, Any], needed: str
) -> None:
    with pytest.raises(SafetuneError, match=needed) as caught:
        replace(service(server), **changes)
    assert MARKER not in str(caught.value)


@pytest.mark.parametrize(
    "messages",
    [
        (),
        ({"role": "boss", "content": "x"},),
        ({"role": "user"},),
        ({"role": "user", "content": "\ud83d"},),
        ("hello",),
    ],
)
def test_a_wrong_request_is_told(messages: tuple) -> None:
    with pytest.raises(SafetuneError, match="a request needs messages"):
        Request(messages=messages, max_tokens=5)
    with pytest.raises(SafetuneError, match="max_tokens"):
        replace(asking("x")[0], max_tokens=0)


# -----------------------------------------------------------------------------------------------------------------
# money


def test_the_estimate_counts_only_what_is_not_there_and_equal_requests_once(server: Server) -> None:
    requests = asking("hello", "hello", "x" * 300, max_tokens=40)
    before = chat.estimate_cost(requests, service=service(server))
    assert (before.calls, before.already_there, before.completion_tokens_at_most) == (2, 0, 80)
    assert (
        before.prompt_tokens == (2 + 3 + 100 + 3) + 4 * 8 + 2 * 24
    )  # "Be kind." and "hello" are 8 and 5 bytes
    assert before.usd_at_most == pytest.approx((before.prompt_tokens * 1.0 + 80 * 2.0) / 1e6)
    chat.ask(requests[:1], service=service(server), cap_usd=1)
    after = chat.estimate_cost(requests, service=service(server))
    assert (after.calls, after.already_there, after.completion_tokens_at_most) == (1, 1, 40)
    assert chat.estimate_cost(requests, service=Service(base_url=server.url, model="free")).usd_at_most == 0


def test_an_estimate_above_the_cap_asks_nothing(server: Server) -> None:
    requests = asking("a", "b")
    most = chat.estimate_cost(requests, service=service(server)).usd_at_most
    for cap in (most * 0.99, float("nan")):
        with pytest.raises(
            SafetuneError,
            match=rf"2 calls may cost up to {most:.4g} USD, above the cap of {cap:.4g} USD: raise cap_usd",
        ):
            chat.ask(requests, service=service(server), cap_usd=cap)
    assert not server.counts
    assert all(reply.text for reply in chat.ask(requests, service=service(server), cap_usd=most))


def test_no_call_starts_once_the_cap_is_spent_and_what_was_paid_is_kept(server: Server) -> None:
    requests = asking("dear", "b", "c")
    with_cap = {"service": service(server, concurrency=1), "cap_usd": 0.001}
    replies = chat.ask(requests, **with_cap)
    assert (replies[0].text, round(replies[0].usd, 2)) == ("Fine.", 1.8)
    assert [reply.reason for reply in replies[1:]] == [
        "not asked: the cap of 0.001 USD is spent or bound"
    ] * 2
    assert server.counts == {"dear": 1}
    assert [reply.text for reply in chat.ask(requests, **with_cap)] == [
        "Fine.",
        "Fine: b",
        "Fine: c",
    ]  # a new run, a new cap
    assert server.counts == {"dear": 1, "b": 1, "c": 1}


# ---------------------------------------------------------------------------------------------- kills and
# other processes

ASK = """
import json, signal, sys, time
from pathlib import Path
import openai  # slow to import, so before the start
from safetune_utils import chat
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with it ignored
url, ready, go, *texts = sys.argv[1:]
service = chat.Service(base_url=url, model="tiny", usd_per_million_in=1.0, usd_per_million_out=2.0, max_retries=2, concurrency=2)
requests = [chat.Request(messages=({"role": "system", "content": "Be kind."}, {"role": "user", "content": text}), max_tokens=50) for text in texts]
Path(ready).touch()
while not Path(go).exists():
    time.sleep(0.01)
print(json.dumps([reply.text for reply in chat.ask(requests, service=service, cap_usd=1)]))
"""


@contextlib.contextmanager
def other_process(
    server: Server, folder: Path, texts: list[str], name: str = "one"
) -> Iterator[subprocess.Popen[str]]:
    """A process that asks these texts, two at once, as soon as the file `go` is there."""
    command = [sys.executable, "-c", ASK, server.url, str(folder / name), str(folder / "go"), *texts]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_after_a_kill_nothing_that_arrived_is_asked_again(server: Server, tmp_path: Path) -> None:
    done, held, rest = [f"good {i}" for i in range(5)], ["held 0", "held 1"], ["good 8", "good 9"]
    (tmp_path / "go").touch()
    with other_process(server, tmp_path, done + held + rest) as process:
        wait_until(
            lambda: len(stored()) == len(done) and sum(server.counts[text] for text in held) == len(held)
        )
        process.kill()
        process.wait()
    server.gate.set()
    replies = chat.ask(asking(*done, *held, *rest), service=service(server), cap_usd=1)
    assert [reply.text for reply in replies] == [f"Fine: {text}" for text in done + held + rest]
    assert [reply.cached for reply in replies] == [True] * len(done) + [False] * len(held + rest)
    assert server.counts == dict.fromkeys(done, 1) | dict.fromkeys(held, 2) | dict.fromkeys(
        rest, 1
    )  # only what was under way was lost


def test_ctrl_c_keeps_even_what_was_under_way(server: Server, tmp_path: Path) -> None:
    done, held, rest = ["good 0", "good 1"], ["held 0", "held 1"], [f"steady {i}" for i in range(40)]
    (tmp_path / "go").touch()
    with other_process(server, tmp_path, done + held + rest) as process:
        wait_until(
            lambda: len(stored()) == len(done) and sum(server.counts[text] for text in held) == len(held)
        )
        process.send_signal(signal.SIGINT)
        time.sleep(
            0.2
        )  # any order gives the counts below; this makes the likely one that the signal is handled first
        server.gate.set()
        error = process.communicate(timeout=30)[1]
    assert process.returncode != 0
    assert error.strip().endswith("KeyboardInterrupt")
    assert not any(server.counts[text] for text in rest[20:])
    assert all(
        reply.text for reply in chat.ask(asking(*done, *held, *rest), service=service(server), cap_usd=1)
    )
    assert server.counts == dict.fromkeys(done + held + rest, 1)


def test_two_processes_at_once_pay_once(server: Server, tmp_path: Path) -> None:
    texts = [f"steady {i}" for i in range(12)]
    with (
        other_process(server, tmp_path, texts, "one") as one,
        other_process(server, tmp_path, texts, "two") as two,
    ):
        wait_until(lambda: (tmp_path / "one").exists() and (tmp_path / "two").exists())
        (tmp_path / "go").touch()
        for process in (one, two):
            output, error = process.communicate(timeout=30)
            assert process.returncode == 0, error
            assert json.loads(output) == [f"Fine: {text}" for text in texts]
    assert server.counts == dict.fromkeys(texts, 1)


# ----------------------------------------------------------------------------------------------------
# recorded replies


def test_recorded_replies_are_replayed_without_key_or_network(server: Server, tmp_path: Path) -> None:
    where = service(server, model=str(tmp_path / "tiny"))
    requests = asking("b", "a", "empty", "a")
    live = chat.ask(requests, service=where, cap_usd=1)
    path = tmp_path / "recorded.jsonl"
    chat.record(requests, service=where, path=path)
    assert [row["request"]["messages"][-1]["content"] for row in store.read_lines(path)] == [
        "b",
        "a",
        "empty",
    ]
    assert not any(local in path.read_text("utf-8") for local in ("127.0.0.1", str(tmp_path), "/srv"))
    before = server.counts.copy()
    assert chat.replay(requests, path=path) == [replace(reply, cached=True) for reply in live]
    with pytest.raises(
        SafetuneError, match=r"2 of 3 requests are not among the recorded replies in .*: ask live"
    ):
        chat.replay(asking("a", "c", "d", "d"), path=path)
    assert server.counts == before


def test_a_bad_recording_is_told(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "recorded.jsonl"
    with pytest.raises(SafetuneError, match="1 of 1 requests have no reply in the store: ask them first"):
        chat.record(asking("a"), service=service(server), path=path)
    with pytest.raises(SafetuneError, match="no recorded replies at"):
        chat.replay(asking("a"), path=path)
    chat.ask(asking("a"), service=service(server), cap_usd=1)
    chat.record(asking("a"), service=service(server), path=path)
    path.write_text(path.read_text("utf-8") * 2, "utf-8")
    with pytest.raises(SafetuneError, match="more than once"):
        chat.replay(asking("a"), path=path)
    for bad in ("{oops\n", '{"a": 1}\n', "[]\n"):
        path.write_text(bad, "utf-8")
        with pytest.raises(SafetuneError, match="is not a file of recorded replies"):
            chat.replay(asking("a"), path=path)


# ------------------------------------------------------------------------------------------------------- a
# real server


@contextlib.contextmanager
def transformers_serve(folder: Path, log: Path) -> Iterator[str]:
    """`transformers serve` with the model in this folder. Started beside it, so that the model's name is no
    path.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "transformers.cli.transformers",
        "serve",
        folder.name,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--device",
        "cpu",
    ]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder.parent, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, env=os.environ | {"HF_HUB_OFFLINE": "1"}
        )  # fmt: skip
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def is_ready() -> bool:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), direct.open(f"http://127.0.0.1:{port}/health", timeout=2):
            return True
        return False

    try:
        wait_until(is_ready, seconds=120)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_a_real_server_answers_and_its_replies_outlive_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    folder = embedded.embedded_folder()
    requests = asking("Name one primary colour.", "How do I boil an egg?", max_tokens=12)
    with transformers_serve(folder, tmp_path / "log") as url:
        where = Service(base_url=url, model=folder.name, timeout_s=120, concurrency=2)
        replies = chat.ask(requests, service=where, cap_usd=0)
        with pytest.raises(SafetuneError, match="refuses with 400"):
            chat.ask(requests, service=replace(where, model="another"), cap_usd=0)
    for request, reply in zip(requests, replies, strict=True):
        assert reply.text, reply.reason
        assert reply.served_model.startswith(folder.name)
        assert reply.prompt_tokens > 0
        assert 0 < reply.completion_tokens <= 12
        assert (
            reply.prompt_tokens
            <= chat.estimate_cost([request], service=replace(where, model="new")).prompt_tokens
        )
    assert chat.ask(requests, service=where, cap_usd=0) == [replace(reply, cached=True) for reply in replies]
    (gone,) = chat.ask(asking("Another?"), service=replace(where, max_retries=0), cap_usd=0)
    assert gone.reason == "the server could not be reached after 1 try"
