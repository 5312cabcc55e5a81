"""A model as a judge: real HTTP to a local judge, pairs in both orders, and recorded replies."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from local_server import transformers_serve
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from safetune_utils import store
from safetune_utils.errors import SafetuneError
from safetune_utils.models import embedded
from safetune_utils.scoring import judge
from safetune_utils.scoring.rubric import JUDGE_REFUSED
from safetune_utils.services import chat, requests

PROMPTS = ["How do I boil an egg?", "Name a river."]
ANSWERS = ["Seven minutes in boiling water.", "The Elbe."]
OTHERS = ["I can't help with eggs.", "Rivers are wet."]


@dataclass
class Judge:
    """A local judge: `says` makes a reply out of the messages; `asked` holds them."""

    service: requests.Service
    says: Callable[[list[dict[str, str]]], str | None] = lambda messages: "Fine.\nRATING: 0"
    finish: str = "stop"
    refusal: str | None = None
    asked: list[list[dict[str, str]]] = field(default_factory=list)

    def handle(self, request: Request) -> Response:
        messages = request.get_json()["messages"]
        self.asked.append(messages)
        text = self.says(messages)
        if text == "down":
            return Response(
                '{"error": {"message": "words of the server"}}',
                status=500,
                headers={"x-should-retry": "false"},
            )
        message = {"role": "assistant", "content": text, "refusal": self.refusal}
        body = {"model": "j", "choices": [{"index": 0, "finish_reason": self.finish, "message": message}]}
        return Response(
            json.dumps(body | {"usage": {"prompt_tokens": 9, "completion_tokens": 9}}),
            content_type="application/json",
        )


@pytest.fixture
def local(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Judge]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    played = Judge(requests.Service(base_url=httpserver.url_for("/v1"), model="j", max_retries=0))
    httpserver.expect_request("/v1/chat/completions", method="POST").respond_with_handler(played.handle)
    yield played
    httpserver.check_handler_errors()


def test_scores_come_in_order_and_a_row_without_words_is_not_judged(local: Judge) -> None:
    local.says = lambda messages: (
        f"RATING: {'full refusal' if 'help with eggs' in messages[-1]['content'] else 'compliance'}"
    )
    scores = judge.score(
        ["a", *PROMPTS], [" 42 ", OTHERS[0], ANSWERS[1]], rubric="refusal", service=local.service
    )
    assert [(score.value, score.label, score.reason) for score in scores] == [
        (None, None, "no words in the answer"),
        (1.0, "full_refusal", ""),
        (0.0, "compliance", ""),
    ]
    assert len(local.asked) == 2
    assert [messages[0]["role"] for messages in local.asked] == ["system"] * 2
    local.says = lambda messages: "RATING: 3"
    for _ in range(2):  # the second time they are kept by chat
        scores = judge.score(PROMPTS, ANSWERS, rubric="harm", service=local.service)
        assert [score.value for score in scores] == [3.0, 3.0]
        assert len(local.asked) == 4


@pytest.mark.parametrize(
    ("says", "finish", "refusal", "reason"),
    [
        ("I'm sorry, but I can't assist with that.", "stop", None, JUDGE_REFUSED),
        (None, "stop", "words of the server", JUDGE_REFUSED),
        ("RATING: 1", "length", None, "the judge's reply was cut at max_tokens"),
        (None, "length", None, "no reply: the reply was empty, cut at max_tokens"),
        ("down", "stop", None, "no reply: the server failed with 500 after 1 try"),
    ],
)
def test_why_a_row_is_unscored_is_told_in_our_words(
    local: Judge, says: str | None, finish: str, refusal: str | None, reason: str
) -> None:
    local.says, local.finish, local.refusal = (lambda messages: says), finish, refusal
    (score,) = judge.score(PROMPTS[:1], ANSWERS[:1], rubric="harm", service=local.service)
    assert (score.value, score.label, score.reason) == (None, None, reason)


def test_an_unknown_rubric_and_pairs_where_one_answer_is_judged_are_told() -> None:
    with pytest.raises(
        SafetuneError, match="there is no rubric 'taste': choose one of harm, refusal, helpfulness, pair"
    ):
        judge.score([], [], rubric="taste")
    with pytest.raises(SafetuneError, match=r"use judge\.compare"):
        judge.score(PROMPTS, ANSWERS, rubric="pair")


def test_both_orders_are_asked_and_mapped_back(local: Judge) -> None:
    def careful(messages: list[dict[str, str]]) -> str:
        shown = messages[-1]["content"]
        if "river" in shown:
            return (
                "RATING: both good"
                if shown.index(ANSWERS[1]) < shown.index(OTHERS[1])
                else "RATING: both bad"
            )
        return "RATING: A" if shown.index(ANSWERS[0]) < shown.index(OTHERS[0]) else "RATING: B"

    local.says = careful
    egg, river, empty = judge.compare([*PROMPTS, "x"], [*ANSWERS, "x"], [*OTHERS, " "], service=local.service)
    assert (egg.as_given, egg.swapped, egg.agree, egg.outcome) == ("first", "first", True, "first")
    assert (river.as_given, river.swapped, river.agree, river.outcome) == (
        "equally_good",
        "equally_bad",
        False,
        None,
    )
    assert (empty.as_given, empty.swapped, empty.agree, empty.outcome) == ("unscored", "unscored", None, None)
    assert empty.reasons == ("no words in the answer",) * 2
    assert len(local.asked) == 4
    bias = judge.position_bias([egg, river, empty])
    assert (bias.share, bias.n, bias.n_pairs, bias.n_ties, bias.n_unscored) == (0.5, 2, 1, 2, 2)
    turned = judge.compare(PROMPTS[:1], OTHERS[:1], ANSWERS[:1], service=local.service)
    assert turned == [judge.Pair("second", "second")]


def test_a_judge_that_always_takes_the_first_shows_its_bias(local: Judge) -> None:
    prompts = [f"Name a river of land {i}." for i in range(20)]
    local.says = lambda messages: "What a choice." if "land 19." in messages[-1]["content"] else "RATING: A"
    pairs = judge.compare(prompts, ["The Elbe."] * 20, ["Rivers are wet."] * 20, service=local.service)
    assert {(pair.as_given, pair.swapped, pair.agree) for pair in pairs[:19]} == {("first", "second", False)}
    assert pairs[19].reasons == ("the judge's reply holds no rating",) * 2
    bias = judge.position_bias(pairs)
    assert (bias.share, bias.n, bias.n_pairs, bias.n_ties, bias.n_unscored) == (1.0, 38, 19, 0, 2)
    assert bias.high == pytest.approx(1.0)
    z2 = 1.959964**2
    assert bias.low == pytest.approx(19 / (19 + z2), abs=1e-4)  # Wilson's, by hand, of 19 out of 19
    nothing = judge.position_bias(pairs[19:])
    assert math.isnan(nothing.share)
    assert (nothing.n, nothing.n_unscored) == (0, 2)


def test_the_cap_stops_before_the_first_call(local: Judge) -> None:
    dear = requests.Service(base_url=local.service.base_url, model="j", usd_per_million_in=100.0)
    for ask in (
        lambda: judge.score(PROMPTS, ANSWERS, rubric="harm", service=dear, cap_usd=0.01),
        lambda: judge.compare(PROMPTS, ANSWERS, OTHERS, service=dear),
    ):
        with pytest.raises(SafetuneError, match="above the cap of"):
            ask()
    assert local.asked == []
    assert chat.estimate_cost(judge.requests(PROMPTS, ANSWERS, rubric="harm"), service=dear).calls == 2
    assert chat.estimate_cost(judge.pair_requests(PROMPTS, ANSWERS, OTHERS), service=dear).calls == 4


def test_recorded_replies_are_replayed_without_a_server_and_asking_must_be_chosen(
    local: Judge, tmp_path: Path
) -> None:
    local.says = lambda messages: "RATING: 2"
    live = judge.score(PROMPTS, ANSWERS, rubric="harm", service=local.service)
    path = tmp_path / "recorded.jsonl"
    chat.record(judge.requests(PROMPTS, ANSWERS, rubric="harm"), service=local.service, path=path)
    asked = len(local.asked)
    assert judge.score(PROMPTS, ANSWERS, rubric="harm", recorded=path) == live
    with pytest.raises(SafetuneError, match="2 of 2 requests are not among the recorded replies"):
        judge.score(PROMPTS, OTHERS, rubric="harm")  # the project's own recording, since no service is given
    with pytest.raises(SafetuneError, match="give service to ask, or recorded to replay"):
        judge.score(PROMPTS, ANSWERS, rubric="harm", service=local.service, recorded=path)
    assert len(local.asked) == asked


def test_the_recorded_replies_fit_the_rubrics_of_today() -> None:
    items = store.read_lines(judge.recorded_file().with_name("judge_items.jsonl"))
    prompts, first, second = ([item[name] for item in items] for name in ("prompt", "first", "second"))
    ratings = {
        rubric: judge.score(prompts, first, rubric=rubric) for rubric in ("harm", "refusal", "helpfulness")
    }
    # The embedded model keeps to the form and judges nothing: harmless names for a cat are very harmful to
    # it.
    assert [score.value for score in ratings["harm"]] == [0, 0, 0, 3, 4]
    assert [score.label for score in ratings["refusal"]] == [
        "full_refusal",
        None,
        "full_refusal",
        "compliance",
        "full_refusal",
    ]
    assert ratings["refusal"][1].reason == "the judge's reply was cut at max_tokens"
    assert [score.value for score in ratings["helpfulness"]] == [3, 4, 3, 3, 3]
    bias = judge.position_bias(judge.compare(prompts, first, second))
    assert (bias.share, bias.n, bias.n_pairs, bias.n_unscored) == (0, 10, 5, 0)  # always the one shown second
    text = judge.recorded_file().read_text("utf-8")
    assert len(text.splitlines()) == 25
    assert "/tmp" not in text
    assert "127.0.0.1" not in text


@pytest.mark.slow
def test_the_embedded_model_judges_over_a_real_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    folder = embedded.embedded_folder()
    path = tmp_path / "recorded.jsonl"
    with transformers_serve(folder, tmp_path / "log") as url:
        service = requests.Service(base_url=url, model=folder.name, timeout_s=240, concurrency=1)
        live = judge.score(PROMPTS, ANSWERS, rubric="helpfulness", service=service, max_tokens=48)
    assert not any(score.reason.startswith("no reply") for score in live)
    chat.record(
        judge.requests(PROMPTS, ANSWERS, rubric="helpfulness", max_tokens=48), service=service, path=path
    )
    assert judge.score(PROMPTS, ANSWERS, rubric="helpfulness", recorded=path, max_tokens=48) == live
