"""Content moderation: real HTTP to a local server that plays the service and misbehaves when told to."""

from __future__ import annotations

import json
import logging
import socket
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from safetune_utils import places
from safetune_utils.errors import SafetuneError
from safetune_utils.scoring import moderation

MARKER = "sk-marker-0123456789"
SOON = {"Retry-After": "0.02"}
WORDS = "words of the server"


def result(text: str, **changes: Any) -> dict[str, Any]:
    """What the service says of a text: flagged if it is bad, and its length as a score, to know it again."""
    return {
        "flagged": "bad" in text,
        "category_scores": {"hate": len(text) / 1000, "self-harm/intent": 0.25},
    } | changes


def answer(*results: Any, **changes: Any) -> Response:
    return Response(
        json.dumps({"id": "m", "model": "mod-2", "results": list(results)} | changes),
        content_type="application/json",
    )


def failure(
    status: int, message: str = WORDS, headers: dict[str, str] | None = None, **more: str
) -> Response:
    return Response(
        json.dumps({"error": {"message": message} | more}),
        status=status,
        content_type="application/json",
        headers=headers,
    )


@dataclass
class Played:
    """The service: `script` holds what it does first, then it answers well. `batches` holds what it was
    asked.
    """

    url: str
    batches: list[list[str]] = field(default_factory=list)
    keys: set[str | None] = field(default_factory=set)
    script: list[Response | str | Callable[[list[str]], Response]] = field(default_factory=list)

    def handle(self, request: Request) -> Response:
        texts = request.get_json()["input"]
        self.batches.append(texts)
        self.keys.add(request.headers.get("Authorization"))
        step = self.script.pop(0) if self.script else None
        if step == "hang up":
            request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        if step in (None, "hang up"):
            return answer(*map(result, texts))
        return step if isinstance(step, Response) else step(texts)

    def score(self, *responses: str, **settings: Any) -> list[moderation.Score]:
        return moderation.score(
            [""] * len(responses), list(responses), base_url=self.url, **({"max_retries": 1} | settings)
        )


@pytest.fixture
def service(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    for name in ("OPENAI_API_KEY", "OPEN_AI_KEY"):
        monkeypatch.delenv(name, raising=False)
    played = Played(httpserver.url_for("/v1"))
    httpserver.expect_request("/v1/moderations", method="POST").respond_with_handler(played.handle)
    yield played
    httpserver.check_assertions()
    httpserver.check_handler_errors()


def stored() -> list[Path]:
    return sorted((places.store_folder() / "moderation").rglob("*.json"))


def test_scores_come_in_order_in_batches_and_nothing_is_asked_twice(service: Played) -> None:
    texts = [f"text {'x' * i}" for i in range(70)] + ["a bad one", "text x", "a bad one"]
    scores = service.score(*texts, "", " 42 …")
    assert [len(batch) for batch in service.batches] == [32, 32, 7]
    assert [text for batch in service.batches for text in batch] == texts[:71]
    assert [score.parts.get("hate") for score in scores] == [
        *(len(text) / 1000 for text in texts),
        None,
        None,
    ]
    assert [(score.value, score.label) for score in scores[70:72]] == [(1.0, "flagged"), (0.0, "not_flagged")]
    assert scores[0].parts == {"hate": 0.005, "self-harm/intent": 0.25}
    assert [(score.value, score.reason) for score in scores[-2:]] == [(None, "no words in the answer")] * 2
    assert len(stored()) == 71
    # Only the owner may look.
    assert {stat.S_IMODE(path.stat().st_mode) for path in stored()} == {0o600}
    assert stat.S_IMODE((places.store_folder() / "moderation").stat().st_mode) == 0o700
    kept = json.loads(stored()[0].read_text("utf-8"))
    assert (kept["host"], kept["model"], kept["served_model"]) == (
        "loopback",
        "omni-moderation-latest",
        "mod-2",
    )
    assert not list((places.store_folder() / "moderation").rglob("*.partial"))

    assert service.score(*texts, "", " 42 …") == scores
    assert len(service.batches) == 3
    service.score("text x", "text \ud83d", model="another")
    assert service.batches[3:] == [["text x", "text ?"]]


def test_a_damaged_file_is_asked_anew_and_other_hosts_have_their_own(service: Played) -> None:
    (score,) = service.score("text")
    for damaged in ("{", '{"flagged": false}'):
        stored()[0].write_text(damaged, "utf-8")
        assert service.score("text") == [score]
    assert len(service.batches) == 3
    with pytest.raises(
        SafetuneError,
        match=r"no key for api\.openai\.com: put it into the environment variable OPENAI_API_KEY",
    ):
        moderation.score([""], ["text"])


def test_a_429_is_tried_again_after_the_wait_that_the_service_asks_for(service: Played) -> None:
    service.script = [failure(429, headers={"Retry-After": "0.8"}), failure(500, headers=SOON)]
    started = time.monotonic()
    (score,) = service.score("a bad one", max_retries=2)
    assert score.value == 1
    assert time.monotonic() - started >= 0.8
    assert len(service.batches) == 3


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([failure(500, headers=SOON)] * 2, "the service failed with 500 after 2 tries"),
        ([failure(429, headers=SOON)] * 2, "the service failed with 429 after 2 tries"),
        (["hang up"] * 2, "the connection broke off after 2 tries"),
    ],
)
def test_a_batch_that_fails_leaves_its_rows_unscored_and_is_asked_again_alone(
    service: Played, steps: list[Response | str], reason: str
) -> None:
    texts = [f"text {'x' * i}" for i in range(33)]
    service.script = list(steps)
    scores = service.score(*texts)
    assert [(score.value, score.reason) for score in scores[:32]] == [(None, reason)] * 32
    assert scores[32].value == 0
    assert len(stored()) == 1
    service.batches.clear()
    assert [score.value for score in service.score(*texts)] == [0.0] * 33
    assert service.batches == [texts[:32]]


def test_a_text_that_the_service_refuses_is_unscored_alone(service: Played) -> None:
    def handle(texts: list[str]) -> Response:
        service.script.append(handle)
        return failure(400) if any("spoilt" in text for text in texts) else answer(*map(result, texts))

    service.script = [handle]
    texts = [f"text {'x' * i}" for i in range(20)]
    texts[13] = "spoilt"
    scores = service.score(*texts)
    assert [(i, score.reason) for i, score in enumerate(scores) if score.value is None] == [
        (13, "the service refused this text with 400")
    ]
    assert len(service.batches) <= 2 * 5 + 1
    assert len(stored()) == 19


def test_a_slow_service_is_given_up(service: Played) -> None:
    def sleep(texts: list[str]) -> Response:
        time.sleep(0.6)
        return answer(*map(result, texts))

    service.script = [sleep]
    (score,) = service.score("text", timeout_s=0.2, max_retries=0)
    assert (score.value, score.reason) == (None, "the service timed out after 1 try")
    assert stored() == []


def test_a_service_that_is_not_there_is_tried_once_for_all(service: Played) -> None:
    with socket.socket() as reserved:  # bound, not listening: the port refuses and is nobody else's
        reserved.bind(("127.0.0.1", 0))
        service.url = f"http://127.0.0.1:{reserved.getsockname()[1]}/v1"
        scores = service.score(*(f"text {'x' * i}" for i in range(33)), "", max_retries=0)
    assert {score.reason for score in scores[:32]} == {"the service could not be reached after 1 try"}
    assert [score.reason for score in scores[32:]] == [
        "not asked: the service could not be reached",
        "no words in the answer",
    ]


GOOD = result("b")
MALFORMED = {
    "not JSON": (Response(f"<html>{WORDS}"), "was not JSON"),
    "half JSON": (Response(b'{"results": [{"flagg'), "was not JSON"),
    "deep JSON": (Response(b"[" * 100_000), "was not JSON"),
    "a number without end": (Response(b'{"results": ' + b"9" * 5000 + b"}"), "was not JSON"),
    "a key twice": (Response(b'{"results": [], "results": []}'), "was not JSON"),
    "a list": (Response(b"[1]"), "not a moderation"),
    "no results": (Response(b"{}"), "not a moderation"),
    "too few": (answer(GOOD), "1 results for 2 answers"),
    "too many": (answer(GOOD, GOOD, GOOD), "3 results for 2 answers"),
}
MALFORMED_ROWS = {
    "no dictionary": "x",
    "no flag": {"category_scores": {"hate": 0.1}},
    "no scores": {"flagged": True},
    "a word for a flag": result("b", flagged="true"),
    "a list of scores": result("b", category_scores=[0.1]),
    "empty scores": result("b", category_scores={}),
    "a text as a category": result("b", category_scores={f"{WORDS}\n<b>": 0.1}),
    "a word for a score": result("b", category_scores={"hate": "0.1"}),
    "a flag for a score": result("b", category_scores={"hate": True}),
    "above 1": result("b", category_scores={"hate": 0.5, "violence": 1.01}),
    "below 0": result("b", category_scores={"hate": -0.01}),
    "not a number": result("b", category_scores={"hate": float("nan")}),
}


def test_a_verdict_is_kept_although_a_category_is_null_or_out_of_range_by_rounding(service: Played) -> None:
    parts = {"hate": None, "violence": 1.0000002, "self-harm/intent": -4e-9, "harassment": 0.25}
    service.script = [
        lambda texts: answer(
            result(texts[0]) | {"flagged": True, "category_scores": parts},
            result(texts[1], category_scores={"hate": None}),
        )
    ]
    scores = service.score("text", "text x")
    kept = {"violence": 1.0, "self-harm/intent": 0.0, "harassment": 0.25}
    assert [(score.value, score.parts) for score in scores] == [(1.0, kept), (0.0, {})]
    assert service.score("text", "text x") == scores  # from the store, where only the numbers are
    assert len(service.batches) == 1


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_answer_scores_nothing_and_is_not_kept(service: Played, kind: str) -> None:
    response, reason = MALFORMED[kind]
    service.script = [response]
    scores = service.score("text", "text x")
    assert [score.value for score in scores] == [None, None]
    assert all(reason in score.reason and WORDS not in score.reason for score in scores)
    assert stored() == []
    assert [score.value for score in service.score("text", "text x")] == [0.0, 0.0]


@pytest.mark.parametrize("kind", MALFORMED_ROWS)
def test_a_malformed_result_scores_its_row_alone_not(service: Played, kind: str) -> None:
    service.script = [lambda texts: answer(result(texts[0]), MALFORMED_ROWS[kind])]
    good, bad = service.score("text", "text x")
    assert (good.value, bad.value) == (0.0, None)
    assert bad.reason
    assert WORDS not in bad.reason
    assert len(stored()) == 1
    assert [score.value for score in service.score("text", "text x")] == [0.0, 0.0]
    assert service.batches == [["text", "text x"], ["text x"]]


@pytest.mark.parametrize(
    ("step", "mend"),
    [
        (
            failure(401, f"no: {MARKER}, {WORDS}"),
            "refuses the key with 401: put one that may use moderation into the environment variable "
            "OPEN_AI_KEY",
        ),
        (failure(403, f"no: {MARKER}, {WORDS}"), "refuses the key with 403"),
        (failure(404, f"no: {MARKER}, {WORDS}"), "does it know the model 'omni-moderation-latest'"),
        (
            failure(429, f"no: {MARKER}, {WORDS}", headers=SOON, code="insufficient_quota"),
            "add some, or use another key in OPEN_AI_KEY",
        ),
    ],
)
def test_what_no_batch_would_survive_stops_at_once_and_shows_no_key(
    service: Played, step: Response, mend: str, monkeypatch: pytest.MonkeyPatch, caplog, capfd, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPEN_AI_KEY", f" {MARKER}\n")  # the name in the original's code
    caplog.set_level(logging.DEBUG)
    service.script = [lambda texts: answer(*map(result, texts)), step]
    with pytest.raises(SafetuneError, match=mend) as caught:
        service.score(*(f"text {'x' * i}" for i in range(100)), max_retries=0, progress="moderation")
    assert len(service.batches) == 2
    assert service.keys == {f"Bearer {MARKER}"}
    assert len(stored()) == 32  # what had arrived is kept
    assert MARKER not in caplog.text  # to which the client adds what it was sent
    shown = [str(caught.value), repr(caught.value), *capfd.readouterr()]
    assert "moderation" in shown[-1]
    shown += [path.read_text("utf-8") for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(MARKER in text or WORDS in text for text in shown)
    assert "\n" not in shown[0]


def test_a_service_that_repeats_the_key_gets_nothing_stored(
    service: Played, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", MARKER)
    service.script = [
        lambda texts: answer(result(texts[0]), model=MARKER),
        lambda texts: answer(result(texts[0], category_scores={MARKER: 0.5})),
    ]
    for _ in range(2):
        (score,) = service.score("text")
        assert (score.value, score.reason) == (
            None,
            "the service's answer repeats the key, so it is not kept",
        )
    assert service.score("text")[0].value == 0
    assert service.keys == {f"Bearer {MARKER}"}
    assert not any(MARKER in path.read_text("utf-8") for path in tmp_path.rglob("*") if path.is_file())


def test_mistakes_are_told_before_anything_is_asked(service: Played) -> None:
    with pytest.raises(ValueError, match="1 prompts and 2 responses"):
        moderation.score(["a"], ["b", "c"], base_url=service.url)
    with pytest.raises(SafetuneError, match="base_url should be an address") as caught:
        moderation.score(["a"], ["b"], base_url=f"https://host/v1?key={MARKER}")
    assert MARKER not in str(caught.value)
    assert service.batches == []
