"""Which code of the package a notebook runs: the modules that it imports, those that they import, and so on.

It is read from the text, so nothing is imported for it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from safetune_utils.book.notebook_file import read_notebook
from safetune_utils.errors import SafetuneError, first_line
from safetune_utils.places import BROUGHT

_PACKAGE = Path(__file__).resolve().parents[1]


def code_of(notebook: Path) -> list[Path]:
    """The files of the package that a notebook runs, sorted: modules, and templates and texts beside them.

    Raises:
        SafetuneError: it is no notebook, or a cell is not Python.
    """
    waiting = [path for name in _names(python_of(notebook)) for path in _files(name)]
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [one for name in _names_in(path, path.stat().st_mtime_ns) for one in _files(name)]
    return sorted(found | {path for folder in {one.parent for one in found} for path in _beside(folder)})


def python_of(notebook: Path) -> str:
    """The code cells of a notebook as one Python text.

    Raises:
        SafetuneError: it is no notebook, or a cell is not Python.
    """
    from IPython.core.inputtransformer2 import TransformerManager

    # Magics become calls whose arguments are texts, in which a module may be named too.
    code = [TransformerManager().transform_cell(cell.source) for cell in read_notebook(notebook).code]
    for number, source in enumerate(code, start=1):
        try:
            ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise SafetuneError(
                f"{notebook}, code cell {number} is not Python ({first_line(error)}): correct that cell"
            ) from None
    return "\n".join(code)


@lru_cache(maxsize=512)
def _names_in(path: Path, changed_ns: int) -> tuple[str, ...]:
    return tuple(_names(path.read_text("utf-8")))


def _names(code: str) -> Iterator[str]:
    """What may be a module of the package: names that are imported, and texts that are such a name."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = [node.value]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == _PACKAGE.name)


def _files(name: str) -> list[Path]:
    """The files that importing a name runs, which begins with the package's; empty where it is no module."""
    _, *parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        return []
    folder, found = _PACKAGE, [_PACKAGE / "__init__.py"]
    for part in parts:
        if (folder / part / "__init__.py").is_file():
            folder = folder / part
            found.append(folder / "__init__.py")
        else:
            path = folder / f"{part}.py"
            return [*found, path] if path.is_file() else found
    return found


def _beside(folder: Path) -> Iterator[Path]:
    """The templates and texts of a folder of modules, and of its folders without modules."""
    for path in folder.iterdir():
        if (
            path.is_dir()
            and not (path / "__init__.py").is_file()
            and path.name not in ("__pycache__", BROUGHT)
        ):
            yield from _beside(path)
        elif path.is_file() and path.suffix in (".html", ".md", ".css", ".js"):
            yield path
