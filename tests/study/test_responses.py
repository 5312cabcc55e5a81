"""Responses of a study as tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_stages import made_responses_folder

from safetune_utils import store
from safetune_utils.scoring import instruments
from safetune_utils.scoring.score import Score
from safetune_utils.study import responses, stages
from safetune_utils.study.design import state


def test_responses_are_read_under_the_other_form_of_their_request(monkeypatch: pytest.MonkeyPatch) -> None:
    both = ["controversial", "opinions"]
    study = state(prompt_sets=both, preset="smoke", safety_amounts=[0], read_as={"opinions": "controversial"})
    (run,) = study.runs
    asked = {name: study.prompts(name) for name in study.prompt_sets}
    lines = [vars(p) | {"response": f"answer to {p.id}"} for p in asked["opinions"][::-1]]
    made_responses_folder(study, run, "opinions", lines)
    seen: list[tuple[str, str]] = []

    def score(_: str, prompts: list[str], responses: list[str], **__: str) -> list[Score]:
        seen.extend(zip(prompts, responses, strict=True))
        return [Score(value=1.0) for _ in prompts]

    monkeypatch.setattr(instruments, "score", score)
    own = stages.scores_folder(study, run, "opinions", "harmfulness")
    seen.clear()
    found = responses.read_as(study, instrument="harmfulness")
    assert seen == [(p.text, f"answer to {p.id}") for p in asked["controversial"][::-1]]
    assert set(found["prompt_id"]) == {p.id for p in asked["opinions"]}
    assert set(found["prompt_set"] + found["read_under"]) == {"opinionscontroversial"}
    assert stages.scores_folder(study, run, "opinions", "harmfulness", asked_as="controversial") != own


def test_scores_are_named_before_there_are_responses_and_made_anew_for_others() -> None:
    study = state(prompt_sets=["ordinary"], preset="smoke", safety_amounts=[0])
    (run,) = study.runs
    named = stages.scores_folder(study, run, "ordinary", "refusal-rules", make=False)

    def values(response: str) -> list[float]:
        asked = study.prompts("ordinary")
        made_responses_folder(study, run, "ordinary", [vars(p) | {"response": response} for p in asked])
        made = stages.scores_folder(study, run, "ordinary", "refusal-rules")
        assert made == named
        return [row["value"] for row in store.read_lines(made / "scores.jsonl")]

    assert values("Here you are.") == [0] * 4
    assert values("I can't help with that.") == [1] * 4


def test_an_input_reaches_the_instrument_and_the_table_and_makes_other_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"id": "with", "prompt": "Sort the words.", "input": "pear, apple", "pair": "sorting"},
        {"id": "without", "prompt": "Name a fruit.", "input": None},
    ]
    store.write_lines(tmp_path / "sorting.jsonl", rows)
    store.write_lines(tmp_path / "other.jsonl", [{"prompt": "Words?", "input": "plum", "pair": "sorting"}])
    own = {name: str(tmp_path / f"{name}.jsonl") for name in ("sorting", "other")}
    both = ["refusal-rules", "harmfulness"]
    study = state(
        prompt_sets=list(own),
        preset="smoke",
        safety_amounts=[0],
        own_prompt_sets=own,
        instruments=both,
        read_as={"sorting": "other"},
    )
    (run,) = study.runs
    for name in own:
        said = {"response": "Apple, pear.", "n_tokens": 4, "stopped": True}
        made_responses_folder(study, run, name, [vars(p) | said for p in study.prompts(name)])
    seen: list[list[str]] = []

    def score(_: str, prompts: list[str], responses: list[str], **__: str) -> list[Score]:
        seen.append(prompts)
        return [Score(value=1.0) for _ in prompts]

    monkeypatch.setattr(instruments, "score", score)
    table = responses.responses_of(study)
    whole = ["Sort the words.\n\npear, apple", "Name a fruit."]
    assert seen == [whole, whole, ["Words?\n\nplum"], ["Words?\n\nplum"]]
    assert table["prompt"].tolist() == [*whole, "Words?\n\nplum"]
    seen.clear()
    responses.read_as(study, instrument="harmfulness")
    assert seen == [["Words?\n\nplum"]]

    # Scores of the instruction alone, made before, are not taken for these; where no prompt has an input,
    # nothing has another name.
    folder = stages.scores_folder(study, run, "sorting", "refusal-rules")
    assert store.record_of(folder)["inputs"]["request"] == "instruction and input"
    plain = state(prompt_sets=["ordinary"], preset="smoke", safety_amounts=[0])
    made_from = {
        "stage": "scores",
        "version": 4,
        "responses": store.key_in(stages.responses_folder(plain, run, "ordinary")),
    } | instruments.key("refusal-rules", arithmetic=plain.arithmetic)
    named = stages.scores_folder(plain, run, "ordinary", "refusal-rules", make=False)
    assert store.key_in(named) == store.key_of(made_from)
