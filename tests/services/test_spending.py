"""Money: the estimate before, and the cap that holds."""

from __future__ import annotations

import pytest
from local_server import Server, asking, service

from safetune_utils.errors import SafetuneError
from safetune_utils.services import chat
from safetune_utils.services.requests import Service


def test_the_estimate_counts_only_what_is_not_there_and_equal_requests_once(server: Server) -> None:
    requests = asking("hello", "hello", "x" * 300, max_tokens=40)
    before = chat.estimate_cost(requests, service=service(server))
    assert (before.calls, before.already_there, before.completion_tokens_at_most) == (2, 0, 80)
    # "Be kind." and "hello" are 8 and 5 bytes.
    assert before.prompt_tokens == (2 + 3 + 100 + 3) + 4 * 8 + 2 * 24
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
    # A new run, a new cap.
    assert [reply.text for reply in chat.ask(requests, **with_cap)] == [
        "Fine.",
        "Fine: b",
        "Fine: c",
    ]
    assert server.counts == {"dear": 1, "b": 1, "c": 1}
