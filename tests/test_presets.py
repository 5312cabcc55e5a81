"""Parameters: presets, merging, and one line for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from safetune_utils import presets
from safetune_utils.errors import SafetuneError
from safetune_utils.presets import PRESETS, among, resolve, resolve_decoding
from safetune_utils.scoring.train import resolve_scorer_training
from safetune_utils.settings import Settings


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_resolves(preset: str) -> None:
    assert resolve(preset=preset).preset == preset


def test_parameters_are_laid_over_the_preset_and_none_keeps_it() -> None:
    settings = resolve(preset="paper", recipe={"epochs": 1}, data=None, seeds=[3, 1])
    assert (settings.data, settings.recipe.epochs, settings.recipe.batch_size) == ("paper", 1, 128)
    assert settings.seeds == [1, 3]


@pytest.mark.parametrize(
    ("parameters", "needed"),
    [
        ({"preset": "huge"}, ["preset", "'huge'", "pocket"]),
        ({"safety_amount": [0]}, ["unknown", "safety_amount", "safety_amounts"]),
        ({"recipe": {"learning_rat": 1e-3}}, ["recipe.learning_rat", "'learning_rate'"]),
        ({"safety_amounts": "100"}, ["safety_amounts", "'100'", "list"]),
        ({"safety_amounts": [0, -5]}, ["safety_amounts", "-5", "greater than or equal to 0"]),
        ({"safety_amounts": [50, 50]}, ["safety_amounts", "only once"]),
        ({"safety_amounts": []}, ["safety_amounts"]),
        ({"n_general": 10.5}, ["n_general", "10.5", "integer"]),
        ({"recipe": {"learning_rate": 5.0}}, ["recipe.learning_rate", "5.0", "less than or equal to 0.1"]),
        ({"safety_format": "poem"}, ["safety_format", "'poem'", "question"]),
        ({"seeds": [True]}, ["seeds", "True"]),
    ],
)
def test_a_mistake_is_one_line_that_names_it_and_its_mend(parameters: dict, needed: list[str]) -> None:
    with pytest.raises(SafetuneError) as caught:
        resolve(**parameters)
    message = str(caught.value)
    assert "\n" not in message
    for word in needed:
        assert word in message


def test_the_paper_s_decoding_has_a_name_and_beams_do_not_draw() -> None:
    assert resolve(decoding="paper").decoding.model_dump() == resolve_decoding("paper").model_dump()
    how = resolve_decoding("paper")
    assert (how.num_beams, how.max_new_tokens, how.temperature) == (4, 128, 0)
    assert resolve_decoding("paper", num_beams=2).num_beams == 2
    assert resolve(preset="repository").decoding.num_beams == 4
    for wrong in (lambda: resolve(decoding="beams"), lambda: resolve_decoding("beams")):
        with pytest.raises(SafetuneError, match="choose one of greedy, paper"):
            wrong()
    for wrong in (
        lambda: resolve(decoding={"num_beams": 4, "temperature": 0.5}),
        lambda: resolve_decoding("paper", temperature=0.5),
    ):
        with pytest.raises(SafetuneError, match="temperature and num_beams do not go together"):
            wrong()


def test_the_paper_s_recipe_and_its_repository_s_differ_as_known() -> None:
    paper, repository = resolve(preset="paper").recipe, resolve(preset="repository").recipe
    assert (paper.lora_rank, paper.epochs, paper.learning_rate, paper.max_length, paper.n_validation) == (
        4,
        4,
        1e-4,
        512,
        500,
    )
    assert (
        repository.lora_rank,
        repository.epochs,
        repository.learning_rate,
        repository.max_length,
        repository.n_validation,
    ) == (8, 3, 3e-4, 256, 2000)
    assert paper.batch_size == repository.batch_size == 128
    assert paper.loss_on == repository.loss_on == "everything"
    assert paper.validation == repository.validation == "from_mix"


def test_a_list_or_a_group_may_come_as_the_text_that_papermill_hands_on() -> None:
    given = {"safety_amounts": "[0, 3]", "recipe": '{"epochs": 1}', "own_prompt_sets": '{"mine": "a.csv"}'}
    settings = resolve(preset="smoke", **given)
    assert (settings.safety_amounts, settings.recipe.epochs, settings.recipe.batch_size) == ([0, 3], 1, 12)
    assert settings.own_prompt_sets["mine"].file == "a.csv"
    assert among(given, Settings)["safety_amounts"] == [0, 3]
    with pytest.raises(
        SafetuneError, match=r"^parameter 'instruments' is \"\['refusal'\]\", which is not JSON"
    ):
        resolve(instruments="['refusal']")


@pytest.mark.parametrize(
    ("names", "meant"),
    [
        ({"safety_amount": [0]}, "safety_amounts"),
        ({"safety_amount": "[0]"}, "safety_amounts"),
        ({"seeds": None, "seed": 3, "In": ["", "# Parameters\nseed = 3\n"]}, "seeds"),
        ({"recipes": {"epochs": 1}}, "recipe"),
    ],
)
def test_a_name_that_is_nearly_a_parameter_s_is_told(names: dict, meant: str) -> None:
    with pytest.raises(SafetuneError, match=rf"^'\w+' is no parameter: did you mean '{meant}'\?"):
        among(names, Settings)


@pytest.mark.parametrize(
    "names",
    [
        {"seed": 3, "instrument": "refusal", "In": ["for seed in seeds: pass"]},
        {"there": ["malicious"], "amounts": [0], "_seeds": [1], "sets": ["a"], "prompt_sets": ["a"]},
    ],
)
def test_a_notebook_s_other_names_are_its_own(names: dict) -> None:
    assert among(names, Settings) == {}
    assert among({"seed": [1]}, Settings, given={"seeds"}) == {}


def test_a_base_model_may_name_its_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = resolve(base_model="org/name@v1.2")
    assert (named.base_model, named.revision) == ("org/name", "v1.2")
    assert resolve(base_model="org/name@v1", revision="v1").revision == "v1"
    with pytest.raises(SafetuneError, match=r"^base_model is 'org/name@v1' and revision is 'v2'"):
        resolve(base_model="org/name@v1", revision="v2")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a@b").mkdir()
    assert resolve(base_model="a@b").base_model == "a@b"


@pytest.mark.parametrize(
    ("memory", "gpus", "threads", "chosen"),
    [(2e9, 0, 8, "smoke"), (8e9, 0, 2, "classroom"), (8e9, 0, 4, "pocket"), (12e9, 1, 2, "pocket")],
)
def test_auto_is_the_preset_that_this_machine_can_do(
    memory: float, gpus: int, threads: int, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presets, "memory_bytes", lambda: int(memory))
    monkeypatch.setattr(presets, "n_gpus", lambda: gpus)
    monkeypatch.setattr(presets, "n_threads", lambda: threads)
    assert resolve(preset="auto") == resolve(preset=chosen)


@pytest.mark.parametrize("service", ["COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE", "BINDER_LAUNCH_HOST"])
def test_no_preset_is_pocket_and_on_a_lent_machine_what_it_can_do(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presets, "of_this_machine", lambda: "classroom")
    for resolved in (resolve, resolve_scorer_training):
        monkeypatch.delenv(service, raising=False)
        assert resolved(preset=None).preset == "pocket"
        monkeypatch.setenv(service, "there")
        assert resolved(preset=None).preset == "classroom"
        assert resolved(preset="pocket").preset == "pocket"
