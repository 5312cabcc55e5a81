"""A chapter outside the book: its first code cell installs the package where it is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from notebook_cells import write_notebook

from safetune_utils.book import launch, notebooks, parameters
from safetune_utils.errors import SafetuneError

TOLD = 'Below, a preset of None is "smoke" on this machine.'
CHAPTERS = sorted(parameters.folder().glob("*.ipynb"))


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_chapter_holds_the_cell_as_the_configuration_has_it(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    assert not launch.write_install_cell(copy, wheel=launch.to_install(launch.addresses()))
    first = next(cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    assert launch.is_install_cell(first.metadata)
    assert launch.write_install_cell(copy, wheel="https://example.org/a.whl")
    assert "https://example.org/a.whl" in copy.read_text("utf-8")


def run_bare(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code in an environment that has nothing installed."""
    subprocess.run([sys.executable, "-m", "venv", str(folder / "bare")], check=True)
    python = [str(folder / "bare" / "bin" / "python"), "-c", code]
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(python, cwd=folder, env=bare, capture_output=True, text=True)


@pytest.mark.slow
def test_without_an_address_it_says_where_to_get_the_package_and_with_one_it_installs_it(
    tmp_path: Path,
) -> None:
    told = run_bare(launch.install_cell(""), tmp_path).stderr.splitlines()[-1]
    assert told.startswith("ModuleNotFoundError: safetune_utils is not installed: set WHEEL above to a wheel")
    # In the place of the package's own wheel, one that needs no other.
    source = tmp_path / "source" / "safetune_utils"
    source.mkdir(parents=True)
    (source / "__init__.py").write_text("")
    (source / "presets.py").write_text("def which_preset(): return 'smoke'")
    (source / "__main__.py").write_text("import sys; print('asked for', *sys.argv[1:])")
    about = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    about += '[project]\nname = "safetune-utils"\nversion = "0"\n'
    about += '[tool.hatch.build.targets.wheel]\npackages = ["safetune_utils"]\n'
    (source.parent / "pyproject.toml").write_text(about)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path)]
    subprocess.run([*pip, str(source.parent)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    code = launch.install_cell(str(wheel)) + "\nimport safetune_utils\nprint('imported')"
    assert run_bare(code, tmp_path).stdout.splitlines() == ["asked for model install", TOLD, "imported"]


@pytest.mark.slow
@pytest.mark.sample
def test_the_book_does_not_run_it_and_its_copy_keeps_it(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "n.ipynb", "from safetune_utils import errors", "1 + 1")
    launch.write_install_cell(path, wheel="")
    content = json.loads(path.read_text("utf-8"))
    content["cells"][1]["source"] = ["raise ValueError"]
    path.write_text(json.dumps(content))
    notebooks.execute(path, given={}, output=tmp_path / "out.ipynb")
    cells = list(nbformat.read(tmp_path / "out.ipynb", as_version=4).cells)
    assert [launch.is_install_cell(cell.metadata) for cell in cells].index(True) == 1
    assert cells[1].execution_count is None
    assert cells[-1].outputs[0].data["text/plain"] == "2"
    assert notebooks.output_faults(tmp_path / "out.ipynb") == []


def test_no_repository_means_no_link_and_a_named_one_leads_to_the_chapter() -> None:
    assert launch.launch_line("01_a", launch.Addresses("", "main", "")) == ""
    at = launch.Addresses("https://github.com/some/book/", "main", "")
    assert launch.links("01_a", at) == {
        "Colab": "https://colab.research.google.com/github/some/book/blob/main/notebooks/01_a.ipynb",
        "Kaggle": "https://kaggle.com/kernels/welcome?src="
        "https://github.com/some/book/blob/main/notebooks/01_a.ipynb",
        "Binder": "https://mybinder.org/v2/gh/some/book/main?labpath=notebooks%2F01_a.ipynb",
    }
    for address in launch.links("01_a", at).values():
        assert address in launch.launch_line("01_a", at)


def test_a_repository_without_a_wheel_is_installed_itself() -> None:
    at = launch.Addresses("https://github.com/some/book/", "main", "")
    assert launch.to_install(at) == "git+https://github.com/some/book@main"
    assert launch.to_install(at._replace(wheel="https://example.org/a.whl")) == "https://example.org/a.whl"
    assert launch.to_install(at._replace(repository="")) == ""


def test_a_repository_elsewhere_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "_config.yml").write_text(
        'safetune: {repository: "https://example.org/a", branch: main, wheel: ""}'
    )
    monkeypatch.setattr(launch, "repository_folder", lambda: tmp_path)
    with pytest.raises(SafetuneError, match=r"^repository in _config\.yml is 'https://example\.org/a'"):
        launch.addresses()
