"""Notebooks are run: mistakes are told before a kernel starts, errors are never hidden."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import signal
import sys
import textwrap
from pathlib import Path

import nbformat
import papermill
import pytest
from jupyter_client.manager import AsyncKernelManager
from notebook_cells import body_of, is_prose, python_of, write_notebook

from safetune_utils.book import freshness, notebooks, parameters, prose, provenance
from safetune_utils.errors import SafetuneError
from safetune_utils.machine import stopping

ALL = sorted(parameters.folder().glob("*.ipynb"))


def patterns(key: ast.expr | None) -> list[str]:
    """What a dictionary's key can be, as far as it is written out, as regular expressions."""
    if isinstance(key, ast.IfExp):
        return patterns(key.body) + patterns(key.orelse)
    if isinstance(key, ast.Constant):
        return [re.escape(str(key.value))]
    if isinstance(key, ast.JoinedStr):
        parts = [re.escape(str(one.value)) if isinstance(one, ast.Constant) else ".+" for one in key.values]
        return ["".join(parts)]
    return []


def keys_in(source: str) -> list[str]:
    """The names that Python source can record: keywords of ``record``, and the keys of dictionaries, also of
    those that functions of the book return to it.
    """
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Dict):
            found += [pattern for key in node.keys for pattern in patterns(key)]
        elif isinstance(node, ast.DictComp):
            found += patterns(node.key)
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            found += patterns(node.slice)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "record":
            found += [one.arg for one in node.keywords if one.arg]
            for one in node.keywords:
                if one.arg is None and isinstance(one.value, ast.Call):
                    module, function = ast.unparse(one.value.func).split(".")
                    made_by = getattr(importlib.import_module(f"safetune_utils.book.{module}"), function)
                    found += keys_in(textwrap.dedent(inspect.getsource(made_by)))
    return found


@pytest.mark.parametrize("path", ALL, ids=lambda p: p.stem)
def test_the_source_holds_no_output_and_every_number_in_its_prose_is_recorded_above_it(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
    assert not [cell for cell in cells if cell.cell_type == "markdown" and "{{" in cell.source]
    sentences = [n for n, cell in enumerate(cells) if is_prose(cell)]
    assert sentences
    for n in sentences:
        # In the book and in JupyterLab the sentence stands without its source, which is no hidden code.
        assert cells[n].metadata == {"tags": ["remove-input"], "jupyter": {"source_hidden": True}}
        above = [cell for cell in cells[:n] if cell.cell_type == "code" and not is_prose(cell)]
        keys = keys_in("\n".join(python_of(cell) for cell in above))
        used = prose.names_in(body_of(cells[n]))
        assert used
        unknown = {name for name in used if not any(re.fullmatch(key, name) for key in keys)}
        assert not unknown, "named in the prose and not recorded above it"


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ({"safety_amount": [0]}, "did you mean 'safety_amounts'"),
        ({"n_general": "many"}, "'many'"),
        ({"safety_amounts": [-1]}, "greater than or equal to 0"),
        ({"recipe": {"epochs": 0}}, "recipe.epochs"),
    ],
)
def test_a_mistake_is_told_before_a_kernel_starts(
    given: dict, needed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*_: object, **__: object) -> None:
        raise AssertionError("a kernel was started")

    monkeypatch.setattr(papermill, "execute_notebook", started)
    with pytest.raises(SafetuneError) as caught:
        notebooks.execute(ALL[0], given=given, output=tmp_path / "out.ipynb")
    assert needed in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*.ipynb"))


@pytest.mark.sample
@pytest.mark.slow
def test_a_failing_cell_is_an_error_and_leaves_no_output_that_looks_whole(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "bad.ipynb", "1 / 0")
    with pytest.raises(SafetuneError, match="ZeroDivisionError"):
        notebooks.execute(path, given={}, output=tmp_path / "out" / "bad.ipynb")
    assert not (tmp_path / "out" / "bad.ipynb").exists()
    assert (tmp_path / "out" / "bad.failed.ipynb").exists()


def test_a_file_named_from_where_the_reader_stands_is_found_by_the_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    (here / "mine").mkdir(parents=True)
    (here / "mine" / "safety.jsonl").write_text("one row\n")
    (tmp_path / "elsewhere").mkdir()
    path = write_notebook(
        tmp_path / "elsewhere" / "n.ipynb",
        'assert open(f"{data}/safety.jsonl").read() == "one row\\n"',
        parameters="data: str = None  # a folder",
    )
    monkeypatch.chdir(here)
    notebooks.execute(path, given={"data": "mine"}, output=tmp_path / "out.ipynb")
    made_from = provenance.provenance(tmp_path / "out.ipynb")["made_from"]
    assert made_from["parameters"] == {"data": str(here / "mine")}
    assert str(here / "mine" / "safety.jsonl") in made_from["files"]
    monkeypatch.chdir(tmp_path)
    assert freshness.changes(path, tmp_path / "out.ipynb") == []


# Its own output comes by a port of the loopback interface; all that is sent to a reader goes through files.
CLOSED_TO_OTHERS = """
import os, psutil
from ipykernel import connect
doors = [one.laddr.ip for one in psutil.Process().net_connections("inet") if one.status == "LISTEN"]
assert set(doors) <= {"127.0.0.1"}, doors
assert '"transport": "ipc"' in connect.get_connection_info()
assert os.stat(os.path.dirname(connect.get_connection_file())).st_mode & 0o077 == 0
"""


def test_a_notebook_runs_in_the_interpreter_that_runs_us_and_nobody_else_can_listen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As after `python -m ipykernel install` in an environment that is gone.
    other = tmp_path / "jupyter" / "kernels" / "python3"
    other.mkdir(parents=True)
    kernel = {
        "argv": [str(tmp_path / "gone"), "{connection_file}"],
        "display_name": "x",
        "language": "python",
    }
    (other / "kernel.json").write_text(json.dumps(kernel))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    same = f"import sys\nassert sys.executable == {sys.executable!r}"
    path = write_notebook(tmp_path / "n.ipynb", same, CLOSED_TO_OTHERS)
    # At its end a kernel is asked to stop, not interrupted, which it would log as an error.
    monkeypatch.setattr(AsyncKernelManager, "_async_interrupt_kernel", lambda _: pytest.fail("interrupted"))
    notebooks.execute(path, given={}, output=tmp_path / "out.ipynb")
    assert nbformat.read(tmp_path / "out.ipynb", as_version=4).metadata.kernelspec.name == "python3"


def test_what_a_kernel_itself_says_is_told_unless_it_is_being_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # Where ipykernel logs, and libraries tell how they end.
    words = "import sys\nprint('the kernel broke', file=sys.__stderr__, flush=True)"
    path = write_notebook(tmp_path / "n.ipynb", words)
    notebooks.execute(path, given={}, output=tmp_path / "out.ipynb")
    assert "the kernel broke" in capfd.readouterr().err
    monkeypatch.setattr(stopping, "asked", lambda: signal.SIGTERM)
    notebooks.execute(path, given={}, output=tmp_path / "out.ipynb")
    assert "the kernel broke" not in capfd.readouterr().err


BAD_NOTEBOOKS = [
    ("[" * 100_000, "not JSON that can be read (lists or objects inside one another"),
    ("{}", "is no notebook"),
    ("3", "is no notebook"),
    (
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "code"}]}',
        "is no notebook",
    ),
]


@pytest.mark.parametrize(("text", "needed"), BAD_NOTEBOOKS)
def test_what_is_no_notebook_is_one_line_that_names_it(text: str, needed: str, tmp_path: Path) -> None:
    path = tmp_path / "theirs.ipynb"
    path.write_text(text)
    for read in (provenance.provenance, parameters.schema_of, freshness.code_of, notebooks.output_faults):
        with pytest.raises(SafetuneError) as caught:
            read(path)
        assert needed in str(caught.value)
        assert str(path) in str(caught.value)


def test_cells_that_are_no_python_and_defaults_that_are_no_values_are_told_with_their_place(
    tmp_path: Path,
) -> None:
    path = write_notebook(tmp_path / "n.ipynb", "1 +", parameters="seeds: list[int] = list(range(3))")
    with pytest.raises(SafetuneError, match=r"n\.ipynb, code cell 2 is not Python \(invalid syntax"):
        freshness.code_of(path)
    with pytest.raises(SafetuneError, match=r"the default of 'seeds' is list\(range\(3\)\), which is not"):
        parameters.defaults(path)


def test_error_outputs_and_cells_out_of_order_are_found(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "nb.ipynb", "1")
    notebook = nbformat.read(path, as_version=4)
    for number, cell in enumerate(notebook.cells, 1):
        cell.execution_count = number
    nbformat.write(notebook, path)
    assert notebooks.output_faults(path) == []
    notebook.cells[1].execution_count = 7
    notebook.cells[1].outputs = [nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])]
    nbformat.write(notebook, path)
    assert len(notebooks.output_faults(path)) == 2
