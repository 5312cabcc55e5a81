"""Chapters run in this process or against a local server, where a test can change what they find."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from notebook_cells import recorded_by
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from safetune_utils import data, store
from safetune_utils.annotation import drafting, review
from safetune_utils.book import parameters
from safetune_utils.scoring import capability
from safetune_utils.study import side_effects

READERS = {"general": data.general_examples, "safety": data.safety_examples}


@pytest.mark.slow
def test_the_chapter_says_what_it_cannot_show_where_no_topic_is_named(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    rows = {
        name: [{"instruction": row.instruction, "output": row.output} for row in read("embedded")[:40]]
        for name, read in READERS.items()
    }
    asked = [{"instruction": f"Do something bad, in way {n}"} for n in range(4)]
    for name, lines in (rows | {"malicious": asked}).items():
        store.write_lines(own / f"{name}.jsonl", lines)
    given = {"preset": "smoke", "data": str(own), "base_model": str(base)}
    found = recorded_by(parameters.find("05"), monkeypatch, **given)
    assert "nobody can say which prompts" in found["about_topics"]
    assert "cannot be shown" in found["about_transfer"]
    assert (found["n_topics"], found["least"]) == (1, "no topic named")
    assert {found[name] for name in ("covered_change", "never_change", "transfer_change", "own_change")} == {
        "was not measured"
    }


@pytest.mark.slow
def test_the_chapter_compares_the_same_prompts_of_the_topics_left_out(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = recorded_by(
        parameters.find("05"),
        monkeypatch,
        preset="smoke",
        base_model=str(base),
        max_prompts=20,
        decoding={"max_new_tokens": 2},
    )
    left_out = {"hatred", "violence", "theft_fraud"}
    prompts = [
        prompt
        for name in ("malicious", "lookalikes_unsafe")
        for prompt in data.prompts("embedded", name)[:20]
        if prompt.topic in left_out
    ]
    assert f"{len(prompts)} test prompts are on them" in found["about_transfer"]
    assert f"on {len(prompts)} prompts)" in found["transfer_change"]
    assert f"on {len(prompts)} prompts)" in found["own_change"]
    assert found["n_topics"] == 3


@pytest.mark.slow
def test_the_chapter_goes_on_without_the_harness_and_without_the_reward_model_and_says_so(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capability, "is_installed", lambda: False)
    monkeypatch.setattr(side_effects, "questions", lambda *_, **__: pytest.fail("questions were asked"))
    found = recorded_by(
        parameters.find("06"),
        monkeypatch,
        preset="smoke",
        base_model=str(base),
        instruments=["refusal-rules"],
    )
    assert found["right_change"] == "was not measured"
    assert found["readable_change"] == "was not measured"
    assert "not installed" in found["about_questions"]
    assert "not among this run's instruments" in found["about_wins"]
    assert "on 4 prompts" in found["declined_change"]
    assert "nats on 4 answers" in found["loss_change"]
    # Where nothing was asked, nothing is said of the cost; the other claim needs no harness.
    assert {name for name in found if name.startswith("claim_")} == {"claim_costs_little_helpfulness"}


class Drafts:
    """A server that writes the same text for every request but the second, which fails."""

    text = "I will not help with that <b>today</b>."

    def __init__(self) -> None:
        self.asked: list[str] = []

    def handle(self, request: Request) -> Response:
        self.asked.append(request.get_json()["messages"][-1]["content"])
        if len(self.asked) == 2:
            return Response(
                '{"error": {"message": "down"}}',
                status=500,
                content_type="application/json",
                headers={"x-should-retry": "false"},
            )
        message = {"role": "assistant", "content": self.text}
        body = {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
        }
        return Response(json.dumps(body), content_type="application/json")


def write_review(path: Path, *, n_drafts: int, n_accepted: int) -> None:
    """A review by one person of the server's drafts, the first of them accepted."""
    items = [
        {"id": row.id, "prompt": row.question, "text": Drafts.text}
        for row in drafting.questions("embedded", n_drafts)
    ]
    decisions = [
        {"id": item["id"], "decision": "accept", "text": item["text"], "reason": ""}
        for item in items[:n_accepted]
    ]
    made = {
        "form": "safetune review 1",
        "items": review.items_hash(items),
        "reviewer": "me",
        "decisions": decisions,
    }
    path.write_text(json.dumps(made))


@pytest.mark.slow
def test_the_chapter_on_drafts_asks_a_server_once_and_then_shows_the_review_page(
    httpserver: HTTPServer, tmp_path: Path
) -> None:
    server, output = Drafts(), tmp_path / "out.ipynb"
    httpserver.expect_request("/v1/chat/completions", method="POST").respond_with_handler(server.handle)
    given = {"mode": "ask", "base_url": httpserver.url_for("/v1"), "model": "m", "n_questions": "4"}
    given["usd_per_million_out"] = "1000"
    environment = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}

    def run() -> str:
        words = [part for name, value in given.items() for part in ("-p", name, value)]
        command = [sys.executable, "-m", "safetune_utils", "run", "09", *words, "--output", str(output)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
        assert result.returncode == 0, result.stderr[-3000:]
        cells = json.loads(output.read_text())["cells"]
        return json.dumps([cell.get("outputs", []) for cell in cells])

    shown = run()
    assert len(server.asked) == 4  # one of which failed; instruction forms wait for the review
    assert "the server failed with 500" in shown
    assert "Show the review page" in shown
    assert "<b>today</b>" not in shown
    run()
    assert len(server.asked) == 5  # the failed one alone
    write_review(tmp_path / "review-me.json", n_drafts=4, n_accepted=3)
    given["reviews"] = json.dumps([str(tmp_path / "review-me.json")])
    run()
    assert len(server.asked) == 8  # the forms of the three that stand
    httpserver.clear()
    run()
