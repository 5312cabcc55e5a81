"""YAML from outside: a value is what a careful reader would take it for, and what surprises is one line."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml

from safetune_utils import strict_yaml
from safetune_utils.errors import SafetuneError


def said(tmp_path: Path, text: str) -> object:
    (path := tmp_path / "study.yml").write_text(text, "utf-8")
    return strict_yaml.read(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("-2.5E3", -2500.0),
        ("7.", 7.0),
        (".5", 0.5),
        ("12", 12),
        ("+3", 3),
        ("0", 0),
        ("true", True),
        ("null", None),
        ("", None),
        ("~", None),
        ("1:30", "1:30"),
        ("010", "010"),
        ("yes", "yes"),
        ("2024-13-45", "2024-13-45"),
        ("0x10", "0x10"),
        ("-", [None]),
        (".", "."),
        ("e5", "e5"),
        ("'12'", "12"),
        ("4" * 5000, "4" * 5000),
        ("{a: [1, {b: c}]}", {"a": [1, {"b": "c"}]}),
    ],
)
def test_a_value_is_what_it_looks_like(tmp_path: Path, text: str, value: object) -> None:
    found = said(tmp_path, f"name: {text}" if text != "-" else "name:\n-")
    assert found == {"name": value}
    assert isinstance(found, dict)
    assert type(found["name"]) is type(value)


def test_numbers_that_are_none_are_read(tmp_path: Path) -> None:
    found = said(tmp_path, "[.nan, .inf, -.INF]")
    assert isinstance(found, list)
    assert math.isnan(found[0])
    assert found[1:] == [math.inf, -math.inf]


def test_what_is_written_is_read_alike_here_and_by_yaml_s_own_reader(tmp_path: Path) -> None:
    part = ["yes", "1e-4", "1:30", "010", "~", "", "null", "2024-01-01", "é", "a: b", "- c", "1_000"]
    content = {
        "first": part,
        "second": part,
        "numbers": [1e-5, 2.5e30, -0.0, 7, None, True],
        "more": {"a": {}},
    }
    text = strict_yaml.written(content)
    assert said(tmp_path, text) == yaml.safe_load(text) == content


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: 1\nb: 2\na: 3", r"line 3, is no YAML that can be read \('a' twice\)"),
        ("recipe: {epochs: 1, epochs: 2}", "'epochs' twice"),
        ("recipe: &a {epochs: *a}", "line 1,.*a name for a part"),
        ("n: !!int abc", "a tag"),
        ("n: !!python/object/apply:os.system [ls]", "a tag"),
        ("a:\n\tb: 1", "line 2"),
        ("[" * 200 + "]" * 200, "more than 100 levels"),
        ("? [a, b]\n: 1", "a name that is no text"),
        ("a: \x00", "study.yml.* is no YAML"),
    ],
)
def test_what_would_surprise_is_refused_in_one_line(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(SafetuneError, match=why) as caught:
        said(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_what_is_no_small_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SafetuneError, match="is no file"):
        strict_yaml.read(tmp_path)
    (tmp_path / "large.yml").write_text("a: 1\n" * 1_100_000)
    with pytest.raises(SafetuneError, match="more than 5 MB"):
        strict_yaml.read(tmp_path / "large.yml")
    (tmp_path / "latin.yml").write_bytes("a: Übung".encode("latin-1"))
    with pytest.raises(SafetuneError, match="UTF-8"):
        strict_yaml.read(tmp_path / "latin.yml")
