"""New safety data: questions, prompts and their versions, what is a draft and what is not, the recorded
demonstration, the cap.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from safetune_utils import data
from safetune_utils.annotation import drafting, review
from safetune_utils.annotation.drafting import resolve_drafting
from safetune_utils.errors import SafetuneError
from safetune_utils.services import chat, requests, spending

ROWS = drafting.questions("embedded", 3)


def reply(text: str | None, **changes: object) -> requests.Reply:
    return requests.Reply(key="k", text=text, finish="stop", **changes)


def test_questions_are_taken_topic_by_topic_and_mistakes_are_told(tmp_path: Path) -> None:
    assert len({row.topic for row in drafting.questions("embedded", 12)}) == 12
    assert {row.output for row in drafting.questions("embedded", 36)} == {""}
    with pytest.raises(SafetuneError, match="n_questions is 37, but there are 36"):
        drafting.questions("embedded", 37)
    path = tmp_path / "mine.csv"
    path.write_text("question,topic\nHow do I lie well?,a\nHow do I cheat?,a\nHow do I steal a hat?,b\n")
    assert [row.question for row in drafting.questions(str(path), 2)] == [
        "How do I lie well?",
        "How do I steal a hat?",
    ]
    path.write_text("question,topic\n ,a\n")
    with pytest.raises(SafetuneError, match="row 1: 'question' is missing or empty"):
        drafting.questions(str(path), 1)


def test_a_prompt_has_another_version_when_a_letter_changes() -> None:
    told, first, *rest = drafting.ANSWER_PROMPT
    changed = (told, (first[0], first[1].replace("won't", "will not")), *rest)
    assert drafting.version(changed) != drafting.version(drafting.ANSWER_PROMPT)
    (request,) = drafting.answer_requests(ROWS[:1], max_tokens=50, temperature=0.5)
    assert [message["role"] for message in request.messages] == ["system", *["user", "assistant"] * 3, "user"]
    assert request.messages[-1]["content"] == ROWS[0].question
    assert (request.max_tokens, request.temperature) == (50, 0.5)


def test_a_cut_or_missing_answer_is_no_draft() -> None:
    replies = [
        reply(" I won't. "),
        reply("I won't help with", completion_tokens=4),
        reply(None, reason="timed out after 5 tries"),
    ]
    replies[1] = requests.Reply(key="k", text="I won't help with", finish="length", completion_tokens=4)
    drafts = drafting.read_responses(ROWS, replies)
    assert [draft.text for draft in drafts] == ["I won't.", None, None]
    assert [draft.reason for draft in drafts] == ["", "cut at 4 tokens", "timed out after 5 tries"]
    assert [item["id"] for item in drafting.review_items(drafts)] == [ROWS[0].id]


@pytest.mark.parametrize(
    ("text", "read", "reason"),
    [
        ("Describe how to open a jar.", "Describe how to open a jar.", ""),
        ('Instruction: "Describe how to open a jar."', "Describe how to open a jar.", ""),
        ("How do I open a jar?", None, "still a question"),
        ("I won't help with that jar.", None, "an answer in place of an instruction"),
        ("Open it.\nThen close it.", None, "2 lines in place of one"),
        ("Jar.", None, "1 words, outside 3 to 40"),
    ],
)
def test_an_instruction_form_is_one_line_that_asks(text: str, read: str | None, reason: str) -> None:
    (draft,) = drafting.read_instructions(ROWS[:1], [reply(text)])
    assert (draft.text, draft.reason) == (read, reason)


def test_a_row_is_finished_when_both_its_texts_stand_and_can_be_trained_on(tmp_path: Path) -> None:
    responses = [{"id": ROWS[0].id, "text": "No."}, {"id": ROWS[1].id, "text": "Never."}]
    forms = [{"id": ROWS[1].id, "text": "Make it so."}, {"id": ROWS[2].id, "text": "Do it."}]
    rows = drafting.finished_rows(ROWS, responses=responses, instructions=forms)
    assert [(row.id, row.instruction, row.output, row.question) for row in rows] == [
        (ROWS[1].id, "Make it so.", "Never.", ROWS[1].question)
    ]
    drafting.write_rows(tmp_path / "out" / "safety.jsonl", rows)
    assert data.safety_examples(str(tmp_path / "out" / "safety.jsonl")) == rows


def test_the_recorded_demonstration_fits_the_prompts_and_the_questions_of_today() -> None:
    settings = resolve_drafting()
    asked = drafting.questions(settings.questions, settings.n_questions)
    folder = drafting.recorded_folder()
    responses = chat.replay(
        drafting.answer_requests(asked, max_tokens=settings.max_tokens, temperature=settings.temperature),
        path=folder / "drafting_answers.jsonl",
    )
    items = drafting.review_items(drafting.read_responses(asked, responses))
    readings = [
        review.read_review(path, items=items) for path in sorted(folder.glob("review_answers_*.json"))
    ]
    assert len(readings) == 2
    assert all(len(reading.decisions) == len(items) for reading in readings)
    standing = {item["id"] for item in review.apply(items, readings)[0]}
    kept = [row for row in asked if row.id in standing]
    forms = drafting.read_instructions(
        kept, chat.replay(drafting.instruction_requests(kept), path=folder / "drafting_instructions.jsonl")
    )
    assert len(drafting.readings("forms", drafting.review_items(forms), settings=settings)) == 2
    # Nothing of the machine that recorded them.
    text = "".join(path.read_text("utf-8") for path in folder.rglob("*") if path.is_file())
    assert "/tmp" not in text
    assert "127.0.0.1" not in text


def test_the_cap_holds_for_both_steps_together_and_before_the_first_call() -> None:
    settings = resolve_drafting(mode="ask", cap_usd=1)
    too_much = spending.Cost(
        calls=72, already_there=0, prompt_tokens=1, completion_tokens_at_most=1, usd_at_most=1.01
    )
    with pytest.raises(SafetuneError, match=r"72 calls may cost up to 1\.01 USD, above the cap of 1 USD"):
        drafting.check_cap(too_much, settings)
    drafting.check_cap(too_much, resolve_drafting(cap_usd=1))  # replayed: nothing is paid
    service = requests.Service(base_url="http://127.0.0.1:9/v1", model="m", usd_per_million_out=10_000)
    with pytest.raises(SafetuneError, match=r"above the cap of 0\.2 USD"):  # what the first step cost is gone
        drafting.replies(
            "instructions",
            drafting.instruction_requests(ROWS[:1]),
            settings=settings,
            service=service,
            spent=[reply("No.", usd=0.8)],
        )


def test_recorded_reviews_count_only_for_the_items_they_were_made_for() -> None:
    settings = resolve_drafting(n_questions=5)
    asked = drafting.questions(settings.questions, 5)
    responses = drafting.replies(
        "answers",
        drafting.answer_requests(asked, max_tokens=96, temperature=0.0),
        settings=settings,
        service=requests.Service(base_url="http://x/v1", model="m"),
    )
    assert (
        drafting.readings(
            "answers", drafting.review_items(drafting.read_responses(asked, responses)), settings=settings
        )
        == []
    )
