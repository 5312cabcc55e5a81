"""Keys: what is one, where one is refused, and that none is kept or shown."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from notebook_cells import write_notebook

from safetune_utils import secrets, store
from safetune_utils.annotation.drafting import resolve_drafting
from safetune_utils.book import notebooks, parameters
from safetune_utils.errors import SafetuneError
from safetune_utils.presets import resolve
from safetune_utils.scoring.train import resolve_scorer_training
from safetune_utils.services.requests import Service

# Of no form that is known: such a key is found by the variable that holds it.
KEY = "Zq7-nobody.knows_1"


@pytest.mark.parametrize(
    "text",
    [
        "sk-proj-0123456789abcdefghij",
        "https://host/v1/sk-ant-api03-abcdefghijkl",
        "hf_abcdefghijklmnopqrst",
        "ghp_0123456789abcdefghij0123",
        "AKIAIOSFODNN7EXAMPLE",
        "AIzaSyA0123456789abcdefghijklmnopqrstuv",
        "Authorization: Bearer abcdef0123456789",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.abc-def",
        "https://user:password@host/v1",
        "https://host/v1?api_key=0123456",
        "https://host/v1?x=1&access_token=abcdefg",
    ],
)
def test_a_key_is_known_by_its_form(text: str) -> None:
    assert secrets.holds_key(text)
    assert not secrets.holds_key(secrets.hidden(text))
    assert secrets.scrubbed(text) == text  # what is kept changes by the values of the environment alone


@pytest.mark.parametrize(
    "text",
    [
        "embedded",
        "https://host:8000/v1",
        "meta-llama/Llama-2-7b-chat-hf",
        "ft:gpt-4o-mini-2024-07-18:group::9abcDEF0",
        "/data/risk-assessment-of-many-things/task-with-a-long-name",
        "sk-learn-toy-data-sets",
        "the password: never tell it to anybody",
        "https://gateway.example/0123456789abcdef0123456789abcdef/v1",
        "max_tokens and the key of a stage, 0f3a9c1d2b4e",
    ],
)
def test_what_a_study_names_is_no_key(text: str) -> None:
    assert not secrets.holds_key(text)


def test_a_key_is_known_by_the_variable_that_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "HF_TOKEN", "MY_SECRET_2", "DB_PASSWORD"):
        monkeypatch.setenv(name, f" {KEY}\n")
        assert secrets.scrubbed(f"a {KEY} b") == "a [key] b"
        monkeypatch.delenv(name)
    assert not secrets.holds_key(KEY)
    # Placeholders, a path, and names that only sound so.
    for name, value in {
        "OPENAI_API_KEY": "none",
        "A_TOKEN": "whatever",
        "SSH_KEY": "/home/me/.ssh/id_1",
        "MONKEY": KEY,
        "TOKENIZERS_X": KEY,
    }.items():
        monkeypatch.setenv(name, value)
        assert not secrets.holds_key(f"{value} or {KEY}"), name
        monkeypatch.delenv(name)
    # One that begins with another goes whole.
    monkeypatch.setenv("A_KEY", KEY)
    monkeypatch.setenv("B_KEY", f"{KEY}-and-more")
    assert secrets.scrubbed(f"{KEY}-and-more") == "[key]"


@pytest.mark.parametrize(
    ("check", "given", "name"),
    [
        (resolve, {"base_model": KEY}, "base_model"),
        (resolve, {"own_prompt_sets": {"mine": {"file": f"a/{KEY}.csv"}}}, "own_prompt_sets"),
        (resolve, {"reading": {"columns": {KEY: "a"}}}, "reading"),
        (resolve, {"seeds": KEY}, "seeds"),
        (resolve_drafting, {"model": KEY}, "model"),
        (resolve_drafting, {"base_url": f"https://host/{KEY}/v1"}, "base_url"),
        (resolve_drafting, {"base_url": "https://u:pass@host/v1"}, "base_url"),
        (resolve_drafting, {"reviews": ["a.json", KEY]}, "reviews"),
        (resolve_scorer_training, {"preset": KEY}, "preset"),
        (Service, {"base_url": f"https://host/{KEY}/v1", "model": "m"}, "base_url"),
        (Service, {"base_url": "https://host/v1", "model": KEY}, "model"),
    ],
)
def test_a_key_is_refused_in_any_parameter_and_not_repeated(
    check: Callable[..., Any], given: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", KEY)
    with pytest.raises(SafetuneError, match=name) as caught:
        check(**given)
    assert KEY not in str(caught.value)
    assert "pass" not in str(caught.value)


@pytest.mark.parametrize(
    "address", [f"https://host/{KEY}/v1", f"https://host/v1?{KEY}", f"https://u:{KEY}@host/v1"]
)
def test_a_key_in_an_address_is_refused_before_anything_is_written(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    given = {"mode": "ask", "base_url": address}
    with pytest.raises(SafetuneError, match="base_url") as caught:
        notebooks.execute(parameters.find("09"), given=given, output=tmp_path / "out" / "09.ipynb")
    assert KEY not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_error_holds_no_key_whatever_it_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert str(SafetuneError(f"'{KEY}' or sk-0123456789abcdef")) == "'[key]' or [key]"


def test_the_record_of_a_failed_stage_holds_no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", KEY)

    def fail(folder: Path) -> None:
        raise ConnectionError(f"https://hub/?token={KEY} refuses")

    with pytest.raises(ConnectionError):
        store.produce(stage="mixes", label="a", inputs={}, make=fail)
    (failed,) = (tmp_path / "runs" / "failed").glob("*.json")
    assert "https://hub/?token=[key] refuses" in failed.read_text("utf-8")
    assert not any(KEY in path.read_text("utf-8") for path in tmp_path.rglob("*") if path.is_file())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_executed_notebooks_hold_no_key_and_failed_ones_are_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    shows = "import os\nprint('it is', os.environ['OPENAI_API_KEY'], chr(27) + '[31m')"
    fails = write_notebook(tmp_path / "fails.ipynb", f"{shows}\n1 / 0")
    out = tmp_path / "out"
    with pytest.raises(SafetuneError, match="ZeroDivisionError"):
        notebooks.execute(fails, given={}, output=out / "fails.ipynb")
    assert [path.name for path in out.iterdir()] == ["fails.failed.ipynb"]
    assert mode(out / "fails.failed.ipynb") == 0o600

    works = write_notebook(tmp_path / "works.ipynb", shows)
    notebooks.execute(works, given={}, output=out / "works.ipynb")
    assert {path.name for path in out.iterdir()} == {"fails.failed.ipynb", "works.ipynb"}
    (tmp_path / "usual").touch()
    assert mode(out / "works.ipynb") == mode(tmp_path / "usual")
    for path in out.iterdir():
        text = path.read_text("utf-8")
        assert KEY not in text
        assert "it is [key]" in text
    shown = "".join(capfd.readouterr())
    assert "it is [key] \ufffd[31m" in shown
    assert KEY not in shown
    assert "\x1b" not in shown
