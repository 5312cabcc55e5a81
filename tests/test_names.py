"""What docstrings refer to is there: a name that moved or went would send a reader nowhere."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

import safetune_utils

PACKAGE = Path(safetune_utils.__file__).parent
ROLE = re.compile(r":(?:func|class|data|mod|meth):`~?([\w.]+)`")


def modules() -> list[str]:
    paths = sorted(PACKAGE.rglob("*.py"))
    names = [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in paths]
    return [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]


def is_there(name: str, module: str) -> bool:
    """Whether a name can be reached from a module, or from the package."""
    parts = name.split(".")
    if parts[0] != "safetune_utils":
        found: object = importlib.import_module(module)
    else:
        n = next(n for n in range(len(parts), 0, -1) if _is_module(".".join(parts[:n])))
        found, parts = importlib.import_module(".".join(parts[:n])), parts[n:]
    for part in parts:
        fields = getattr(found, "model_fields", {})
        if not hasattr(found, part) and part not in fields:
            return False
        found = getattr(found, part, None)
    return True


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize("module", modules())
def test_what_docstrings_refer_to_is_there(module: str) -> None:
    tree = ast.parse(Path(importlib.import_module(module).__file__ or "").read_text("utf-8"))
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    texts = [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, kinds)]
    assert [name for text in texts for name in ROLE.findall(text) if not is_there(name, module)] == []
