"""Notebooks are run: mistakes are told before a kernel starts, errors are never hidden."""

from __future__ import annotations

from pathlib import Path

import nbformat
import papermill
import pytest

from safetune_utils.book import freshness, notebooks, parameters, provenance
from safetune_utils.errors import SafetuneError

ALL = sorted(parameters.folder().glob("*.ipynb"))


@pytest.mark.parametrize("path", ALL, ids=lambda p: p.stem)
def test_the_source_holds_no_output_and_every_number_in_its_prose_is_glued(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert not [cell for cell in code if cell.outputs or cell.execution_count]
    source = "\n".join(cell.source for cell in code)
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    used = {part.split("`")[1] for part in prose.split("{glue:text}")[1:]}
    assert used
    for name in used:
        assert f"{name}=" in source, f"{name} is named in the prose and glued nowhere"


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


@pytest.mark.slow
def test_a_failing_cell_is_an_error_and_leaves_no_output_that_looks_whole(tmp_path: Path) -> None:
    path = _notebook(tmp_path / "bad.ipynb", "1 / 0")
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
    cells = [
        nbformat.v4.new_code_cell("data: str = None  # a folder"),
        nbformat.v4.new_code_cell('assert open(f"{data}/safety.jsonl").read() == "one row\\n"'),
    ]
    cells[0].metadata["tags"] = ["parameters"]
    path = tmp_path / "elsewhere" / "n.ipynb"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    monkeypatch.chdir(here)
    notebooks.execute(path, given={"data": "mine"}, output=tmp_path / "out.ipynb")
    made_from = provenance.provenance(tmp_path / "out.ipynb")["made_from"]
    assert made_from["parameters"] == {"data": str(here / "mine")}
    assert str(here / "mine" / "safety.jsonl") in made_from["files"]
    monkeypatch.chdir(tmp_path)
    assert freshness.changes(path, tmp_path / "out.ipynb") == []
    # Words that are no files, and ids of the hub, stay what they are.
    kept = {"data": "paper", "base_model": "org/name", "seeds": [0], "reviews": ["nowhere.json"]}
    assert parameters.with_whole_paths(kept) == kept


def test_error_outputs_and_cells_out_of_order_are_found(tmp_path: Path) -> None:
    path = _notebook(tmp_path / "nb.ipynb", "1")
    notebook = nbformat.read(path, as_version=4)
    for number, cell in enumerate(notebook.cells, 1):
        cell.execution_count = number
    nbformat.write(notebook, path)
    assert notebooks.output_faults(path) == []
    notebook.cells[1].execution_count = 7
    notebook.cells[1].outputs = [nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])]
    nbformat.write(notebook, path)
    assert len(notebooks.output_faults(path)) == 2
