"""A chapter outside the book: where it can be opened, and the cell that installs the package there and says
which preset it takes.

What that installs stands in ``_config.yml``, under ``safetune``. ``python -m safetune_utils.book.launch``
writes the cell into every chapter anew; a test holds that they are as it would write them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import yaml

from safetune_utils.book.parameters import folder
from safetune_utils.errors import SafetuneError
from safetune_utils.places import repository_folder
from safetune_utils.terminal import say

# The tag of that cell, which the book does not run and does not show.
TAG = "installs-package"
_TAGS = [TAG, "remove-cell"]


class Addresses(NamedTuple):
    """Where a reader finds what belongs to the book; each is empty where there is nothing yet.

    Attributes:
        repository: the page of the repository on GitHub.
        branch: of it, that readers are led to.
        wheel: the address of the package's wheel.
        site: where the built book is read.
    """

    repository: str
    branch: str
    wheel: str
    site: str = ""


def addresses() -> Addresses:
    """What ``_config.yml`` says.

    Raises:
        SafetuneError: the repository is none of GitHub, where the services look for it.
    """
    config = yaml.safe_load((repository_folder() / "_config.yml").read_text("utf-8"))
    found = Addresses(**config["safetune"])
    if found.repository and not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+/?", found.repository):
        raise SafetuneError(
            f"repository in _config.yml is {found.repository!r}: write https://github.com/NAME/NAME, or"
            " nothing"
        )
    return found


def to_install(at: Addresses) -> str:
    """What pip installs where a chapter runs alone: the wheel, or the repository itself where no wheel has an
    address; empty where neither has.
    """
    if at.wheel or not at.repository:
        return at.wheel
    return f"git+{at.repository.removesuffix('/')}@{at.branch}"


def links(chapter: str, at: Addresses) -> dict[str, str]:
    """Where a chapter of the repository can be opened and run, by the service's name; empty where no
    repository is named.
    """
    if not at.repository:
        return {}
    repository = at.repository.removesuffix("/").removeprefix("https://github.com/")
    notebook = f"{repository}/blob/{at.branch}/notebooks/{chapter}.ipynb"
    place = quote(f"notebooks/{chapter}.ipynb", safe="")
    return {
        "Colab": f"https://colab.research.google.com/github/{notebook}",
        "Kaggle": f"https://kaggle.com/kernels/welcome?src=https://github.com/{notebook}",
        "Binder": f"https://mybinder.org/v2/gh/{repository}/{at.branch}?labpath={place}",
    }


def launch_line(chapter: str, at: Addresses) -> str:
    """The line of a page that leads to these places, as Markdown; empty where there are none."""
    shown = " · ".join(f"[{name}]({address})" for name, address in links(chapter, at).items())
    return f"Run this chapter: {shown}. There, the preset is chosen by what the machine has." if shown else ""


def is_install_cell(about: Mapping[str, Any]) -> bool:
    """Whether a cell, by its metadata, is the one that installs the package."""
    return TAG in about.get("tags", [])


def install_cell(wheel: str) -> str:
    """The code of the cell, which runs in any Python environment and needs nothing of it but pip."""
    return f'''# Where the book's package is missing, this installs it. The book does not run this cell.
import importlib.util
import subprocess
import sys

WHEEL = "{wheel}"  # the address or the path of a wheel of the package, or git+ and its repository

if importlib.util.find_spec("safetune_utils") is None:
    if not WHEEL:
        raise ModuleNotFoundError(
            "safetune_utils is not installed: set WHEEL above to a wheel of it, which `make release` or "
            "`pip wheel --no-deps .` makes in a clone of the book"
        )
    for words in (["pip", "install", "--quiet", WHEEL], ["safetune_utils", "model", "install"]):
        subprocess.check_call([sys.executable, "-m", *words])
    importlib.invalidate_caches()

usual = importlib.import_module("safetune_utils.presets").which_preset()
print(f'Below, a preset of None is "{{usual}}" on this machine.')'''


def write_install_cell(path: Path, *, wheel: str) -> bool:
    """Write the cell into a notebook, after its title; whether that changed anything."""
    text = path.read_text("utf-8")
    notebook = json.loads(text)
    cell = {
        "cell_type": "code",
        "execution_count": None,
        "id": "install-package",
        "metadata": {"tags": _TAGS},
        "outputs": [],
        "source": install_cell(wheel).splitlines(keepends=True),
    }
    others = [one for one in notebook["cells"] if not is_install_cell(one["metadata"])]
    notebook["cells"] = [*others[:1], cell, *others[1:]]
    now = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    if now == text:
        return False
    path.write_text(now, "utf-8")
    return True


def main() -> None:
    """Write the cell into every chapter."""
    for path in sorted(folder().glob("*.ipynb")):
        changed = write_install_cell(path, wheel=to_install(addresses()))
        say(f"{path.name} {'written' if changed else 'as it was'}")


if __name__ == "__main__":
    main()
