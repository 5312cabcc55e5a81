"""A wrong service or request is told before anything is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from local_server import MARKER, Server, asking, service

from safetune_utils.errors import SafetuneError
from safetune_utils.services.requests import Request


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({"base_url": f"https://user:{MARKER}@host/v1"}, "base_url should be"),
        ({"base_url": f"https://host/v1?key={MARKER}"}, "base_url should be"),
        ({"base_url": "host/v1"}, "base_url should be"),
        ({"base_url": "http://host:99999/v1"}, "base_url should be"),
        ({"base_url": "http://[12:::]/v1"}, "base_url should be"),
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
