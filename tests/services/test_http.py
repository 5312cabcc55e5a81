"""Calls over HTTP: failures that pass and failures that do not, and keys that go to the server alone."""

from __future__ import annotations

import logging
import socket
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from local_server import MARKER, Server, asking, service, stored

from safetune_utils.errors import SafetuneError
from safetune_utils.services import chat


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
    requests = asking("good", "empty", "busy-once", "repeat")
    replies = chat.ask([*requests, *asking("down")], service=where, cap_usd=1, progress="asking")
    chat.record(requests, service=where, path=tmp_path / "recorded.jsonl")
    with pytest.raises(SafetuneError) as caught:
        chat.ask(asking("401"), service=where, cap_usd=1)
    assert server.keys == {f"Bearer {MARKER}"}
    assert replies[3].text == "You sent Bearer [key]."
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


def test_a_server_that_sends_a_request_on_does_not_send_the_key_on(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", MARKER)
    with Server() as other:
        server.elsewhere = other.url
        chat.ask(asking("moved"), service=service(server), cap_usd=1)
        other.shutdown()
    assert (server.keys, other.counts["moved"], other.keys) == ({f"Bearer {MARKER}"}, 1, {None})


def test_a_request_that_holds_a_key_is_refused_before_anything_is_written_or_asked(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MY_KEY", MARKER)
    monkeypatch.setenv("HF_TOKEN", "another.one.2")
    where = service(server, key_variable="MY_KEY")
    for held in (MARKER, "another.one.2"):
        with pytest.raises(SafetuneError, match="1 of 2 requests hold a key") as caught:
            chat.ask(asking("good", f"good {held}"), service=where, cap_usd=1)
        assert held not in str(caught.value)
    assert not server.counts
    assert not list(tmp_path.iterdir())


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
