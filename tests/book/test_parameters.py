"""A notebook's parameters: those of its schema, checked, and the files that they name."""

from __future__ import annotations

from pathlib import Path

import pytest
from notebook_cells import write_notebook

from safetune_utils.annotation.drafting import Drafting
from safetune_utils.book import begin, parameters
from safetune_utils.book.notebook_file import read_notebook
from safetune_utils.errors import SafetuneError

ALL = sorted(parameters.folder().glob("*.ipynb"))


@pytest.mark.parametrize("path", ALL, ids=lambda p: p.stem)
def test_the_parameters_cell_is_held_to_the_schema_and_takes_the_whole_of_it(path: Path) -> None:
    fields = parameters.SCHEMAS[parameters.schema_of(path)].holder.model_fields
    for name, entry in parameters.shown(path).items():
        annotation = str(fields[name].annotation)
        assert entry["help"], f"{name} has no comment"
        expected = dict.fromkeys(("recipe", "mixing", "decoding"), "dict").get(name)
        for kind in ("list", "int", "float", "str"):
            if expected is None and (kind in annotation or "Literal" in annotation):
                expected = "str" if "Literal" in annotation and "list" not in annotation else kind
        assert entry["inferred_type_name"].startswith(expected), name
    assert set(parameters.known(path)) == set(fields)
    assert {name for name, *_ in parameters.described(path)} == set(fields)
    settings = parameters.validate(path, {})
    default = {"mode": "replay"} if isinstance(settings, Drafting) else {"preset": "pocket"}
    assert settings == parameters.validate(path, default)


def test_a_parameter_of_the_schema_is_taken_though_the_cell_does_not_show_it(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "n.ipynb", parameters="seeds: list[int] = [3]  # seeds")
    settings = parameters.validate(path, {"n_general": 7})
    assert (settings.seeds, settings.n_general) == ([3], 7)
    assert parameters.own_part(path, {"n_general": 7, "mode": "ask"}) == {"n_general": 7}
    with pytest.raises(SafetuneError, match="did you mean 'n_general'"):
        parameters.validate(path, {"n_generl": 7})


def test_a_notebook_that_names_no_schema_is_told(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "n.ipynb", schema=None)
    with pytest.raises(SafetuneError, match=r"n\.ipynb does not say what its parameters are"):
        parameters.validate(path, {})


def test_a_notebook_is_found_by_the_start_of_its_name() -> None:
    assert parameters.find("05").stem == parameters.find("05_topics").stem == "05_topics"
    with pytest.raises(SafetuneError, match="notebook '0' fits several"):
        parameters.find("0")
    with pytest.raises(SafetuneError, match="notebook '99' is not there: choose from 01_safety_amount"):
        parameters.find("99")


def test_words_that_are_no_files_and_ids_of_the_hub_stay_what_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kept = {"data": "paper", "base_model": "org/name", "seeds": [0], "reviews": ["nowhere.json"]}
    assert parameters.with_whole_paths(kept) == kept
    (tmp_path / "paper").mkdir()
    (tmp_path / "mine.json").touch()
    assert parameters.with_whole_paths({"data": "paper", "reviews": ["mine.json"]}) == {
        "data": "paper",
        "reviews": [str(tmp_path / "mine.json")],
    }


def test_values_from_the_command_line() -> None:
    values = {
        "[0, 100]": [0, 100],
        "null": None,
        "None": None,
        "embedded": "embedded",
        "3": 3,
        '{"epochs": 1}': {"epochs": 1},
    }
    assert {text: parameters.parse_value(text) for text in values} == values
    for text, needed in (("7" * 5000, "a number of 5000 digits"), ("[" * 100_000, "more than 100 levels")):
        with pytest.raises(SafetuneError, match=needed):
            parameters.parse_value(text)


def test_a_chapter_that_asks_for_one_amount_is_refused_no_other(tmp_path: Path) -> None:
    given = {"preset": "smoke", "safety_amounts": [0, 3, 99_999]}
    begin.check_parameters([(parameters.find("10"), given)])
    with pytest.raises(SafetuneError, match="a safety amount is 99999"):
        begin.check_parameters([(parameters.find("01"), given)])
    # And each that takes the middle one says so.
    for path in ALL:
        takes_it = "safety_amounts) // 2]" in path.read_text("utf-8")
        assert (read_notebook(path).metadata["safetune"].get("amounts") == "middle") == takes_it, path
