"""Topics: a study without some of them, and the chapter where none is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from notebook_cells import glued_by

from safetune_utils import data, store
from safetune_utils.book import parameters
from safetune_utils.data.mix import Mix
from safetune_utils.errors import SafetuneError
from safetune_utils.study import design, mixes
from safetune_utils.study.design import state
from safetune_utils.study.study import Study


def pocket(**given: object) -> Study:
    return state(prompt_sets=["malicious"], **given)


def test_a_study_without_topics_is_the_same_but_for_them_at_the_largest_amount_that_can_be_filled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = pocket(mixing={"topics_left_out": ["drugs"]}, seeds=[3])
    draw = data.mix

    def small_pool(**given: object) -> Mix:
        if given["n_safety"] > 60:
            raise SafetuneError("too few rows")
        return draw(**given)

    monkeypatch.setattr(mixtures, "mix", small_pool)
    without = design.without_topics(study, ["violence"])
    assert without.prompt_sets == study.prompt_sets
    changed = {
        name
        for name in study.settings.model_fields
        if getattr(without.settings, name) != getattr(study.settings, name)
    }
    assert changed == {"safety_amounts", "mixing"}
    assert without.settings.safety_amounts == [50]
    assert without.settings.mixing.topics_left_out == ["drugs", "violence"]
    trained = [row.topic for row in mixes.safety_rows(without, without.runs[0])]
    assert len(trained) == 50
    assert not {"drugs", "violence"} & set(trained)
    assert design.without_topics(study, ["a topic that no row has"]) is None
    assert design.without_topics(pocket(safety_amounts=[0]), ["violence"]) is None


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
    found = glued_by(parameters.find("05"), monkeypatch, preset="smoke", data=str(own), base_model=str(base))
    assert "cannot be told" in found["about_topics"]
    assert "cannot be shown" in found["about_transfer"]
    assert (found["n_topics"], found["least"]) == (1, "no topic named")
    assert {found[name] for name in ("covered_change", "never_change", "transfer_change", "own_change")} == {
        "was not measured"
    }


READERS = {"general": data.general_examples, "safety": data.safety_examples}


@pytest.mark.slow
def test_the_chapter_compares_the_same_prompts_of_the_topics_left_out(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = glued_by(
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
