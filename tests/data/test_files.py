"""A user's file in every form, and what is said of a bad one."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet
import pytest

from safetune_utils import data
from safetune_utils.data import files
from safetune_utils.errors import SafetuneError

ROWS = [
    {"instruction": "Say hi.", "input": "", "output": "Hi\u2028there, «you»."},
    {"instruction": "Name a fruit, please.", "input": "red", "output": 'An "apple".\nOr two.'},
]


def written(folder: Path, form: str) -> Path:
    path = folder / f"mine{form}"
    if form == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n\n" for row in ROWS), "utf-8")
    elif form == ".jsonl.gz":
        path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in ROWS).encode()))
    elif form == ".json":
        path.write_text(json.dumps(ROWS), "utf-8")
    elif form == ".columns.json":
        path.write_text(json.dumps({name: [row[name] for row in ROWS] for name in ROWS[0]}), "utf-8")
    elif form in (".csv", ".tsv"):
        # As spreadsheets write it: with a byte order mark.
        pd.DataFrame(ROWS).to_csv(
            path, index=False, sep="\t" if form == ".tsv" else ",", encoding="utf-8-sig"
        )
    elif form == ".parquet":
        pd.DataFrame(ROWS).to_parquet(path)
    return path


@pytest.mark.parametrize(
    "form", [".jsonl", ".jsonl.gz", ".json", ".columns.json", ".csv", ".tsv", ".parquet"]
)
def test_every_form_gives_the_same_examples_by_its_path_alone(tmp_path: Path, form: str) -> None:
    found = data.read_examples(written(tmp_path, form))
    assert [(row.instruction, row.input, row.output) for row in found] == [
        tuple(row.values()) for row in ROWS
    ]
    assert [row.id for row in found] == ["mine-00001", "mine-00002"]
    assert data.general_examples(str(tmp_path / f"mine{form}"))[1].output == ROWS[1]["output"]


def test_a_set_of_the_hub_is_read_by_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # No hub is reachable where tests run; the library reads a folder of the same name in the same way.
    (tmp_path / "owner" / "name").mkdir(parents=True)
    pd.DataFrame(ROWS).to_parquet(tmp_path / "owner" / "name" / "train.parquet")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    assert files._hub_rows("owner/name", "train") == ROWS
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(
        SafetuneError,
        match=r"'nobody/nothing' is no file here and could not be read from the Hugging .* check the name",
    ):
        data.read_examples("nobody/nothing")


BAD_FILES = [
    ("jsonl", b'{"instruction": "a", "output": "b"}\n{oops\n', "line 2: not JSON"),
    ("jsonl", b'{"instruction": "a", "output": "b"}\n["a"]\n', "line 2: a list and not one record"),
    ("json", b'["a", "b"]', "has 2 faults: rows 1, 2: a text and not one record: write an object"),
    ("json", b'{"instruction": "a"}\n{"instruction": "b"}\n', "name it .jsonl if it has one object a line"),
    ("json", b'{"questions": ["a"]}', "one object without 'instructions' (it has questions)"),
    ("json", b'{"instructions": ["a", "b"], "outputs": ["c"]}', "2 instructions and 1 outputs"),
    ("json", b'{"instructions": [], "outputs": ["c"]}', "0 instructions and 1 outputs"),
    ("json", b'{"inputs": ["c"], "instructions": 5}', "'instruction' is a number, but it should be a list"),
    ("json", b'{"instructions": ["a"], "instruction": ["b"]}', "has a column under two names (instructions,"),
    ("csv", b'"two\nlines","two\nlines"\na,b\n', "has the column 'two lines' twice"),
    ("json", b"3", "holds a number"),
    (
        "jsonl",
        b'{"instruction": "x", "output": "y"}\n{"instruction": "caf\xe9", "output": "b"}\n',
        "is not UTF-8 (line 2",
    ),
    ("csv", "instruction,output\na,b\n".encode("utf-16-le"), "a character of value 0, as UTF-16 does"),
    ("csv", "instruction,output\na,b\n".encode("utf-16")[:-1], "is not UTF-16"),
    (
        "csv",
        b"instruction,output\na,b\nc,d, e\n",
        "line 3: 3 in place of 2 fields: quote texts that hold commas",
    ),
    ("csv", b'instruction,output\n"a,b\n', "is not a row of a table"),
    ("jsonl", b"\n", "is empty"),
    ("csv", b"instruction,output\n", "is empty"),
    ("json", b"", "is empty"),
    ("json", b'{"instructions": [], "inputs": []}', "is empty"),
    ("parquet", b"PAR1 no", "is not a whole Parquet file"),
    ("jsonl.gz", b"plain", "is not a whole gzip file"),
    ("xlsx", b"PK", "is of no form that is read here"),
]


@pytest.mark.parametrize(("form", "content", "needed"), BAD_FILES)
def test_a_bad_file_is_one_line_with_its_place(
    tmp_path: Path, form: str, content: bytes, needed: str
) -> None:
    path = tmp_path / f"bad.{form}"
    path.write_bytes(content)
    with pytest.raises(SafetuneError) as caught:
        data.read_table(path)
    assert needed in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_too_large_is_told_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.jsonl"
    with path.open("wb") as file:
        file.truncate(2 * 2**30)  # sparse: takes no room on the disk
    with pytest.raises(
        SafetuneError, match=r"has 2\.0 GB, and files up to 0\.5 GB are read: cut it .* row 20,000"
    ):
        data.read_examples(path)
    # A small file that unpacks to a large one, and one with too many rows.
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    packed = tmp_path / "packed.jsonl.gz"
    packed.write_bytes(gzip.compress(b" " * 5000))
    with pytest.raises(SafetuneError, match="unpacks to more than"):
        data.read_examples(packed)
    monkeypatch.setattr(files, "MAX_ROWS", 1)
    with pytest.raises(SafetuneError, match="has a row 2, and 1 rows are read"):
        data.read_examples(written(tmp_path, ".jsonl"))


def test_a_path_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SafetuneError, match=r"nothing\.jsonl is not there: give the path"):
        data.read_prompts(tmp_path / "nothing.jsonl")


def test_a_column_that_a_parquet_file_has_twice_is_refused(tmp_path: Path) -> None:
    table = pyarrow.table([["a"], ["b"]], names=["response", "response"])
    pyarrow.parquet.write_table(table, tmp_path / "twice.parquet")
    with pytest.raises(SafetuneError, match=r"twice\.parquet has the column 'response' twice"):
        files.read_table(tmp_path / "twice.parquet")
