"""How ``book/exercises`` is made from ``book/solutions``: text, solution, wrong methods and hints stand
together in one Python file for each chapter, and only the text, the hints and seals go further.

After a change of a solution or of published results::

    python -m safetune_utils.teaching
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import json
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

from safetune_utils.places import repository_folder
from safetune_utils.teaching.exercises import Change, Exercise, Hint, cases
from safetune_utils.teaching.sealing import seals

Method = Callable[..., Any]


class WrongWay(NamedTuple):
    """A wrong method that people take, and the hint that it earns."""

    mistake: str
    hint: str
    method: Method


class Solved:
    """An exercise with its solution; what :func:`exercise` makes of a function.

    Attributes:
        about: all that a student is told.
        solution: the function. Its signature and its docstring are the task.
        wrong_ways: methods that give wrong answers, each with its hint.
        note: what to say of it in class.
    """

    def __init__(self, solution: Method, note: str, **about: Any) -> None:
        self.solution, self.note, self.about = solution, note, about
        self.wrong_ways: list[WrongWay] = []

    def wrong(self, mistake: str, *, hint: str) -> Callable[[Method], Method]:
        """Mark a function as a wrong method: what people do, and the hint that leads on."""

        def keep(method: Method) -> Method:
            self.wrong_ways.append(WrongWay(mistake, hint, method))
            return method

        return keep

    def body(self) -> str:
        """The lines of the solution, without its first line and its docstring."""
        tree = ast.parse(textwrap.dedent(inspect.getsource(self.solution))).body[0]
        assert isinstance(tree, ast.FunctionDef)
        lines = inspect.getsource(self.solution).splitlines()
        return "\n".join(lines[tree.body[1].lineno - 1 :]).rstrip()

    def helpers(self) -> list[str]:
        """The source of each function of the same file that the solution calls, and of what those call."""
        found: dict[str, str] = {}
        left = [self.solution]
        while left:
            asked = left.pop()
            for name in _names(asked.__code__):
                helper = asked.__globals__.get(name)
                if (
                    inspect.isfunction(helper)
                    and helper.__module__ == self.solution.__module__
                    and name not in found
                ):
                    found[name] = inspect.getsource(helper)
                    left.append(helper)
        return list(found.values())

    def sealed(self, chapter: str) -> Exercise:
        """The exercise as a student has it: each method is run on each of the inputs, and its answers
        sealed."""
        name = self.solution.__name__
        signature = inspect.signature(self.solution)
        bare = Exercise(
            chapter=chapter,
            name=name,
            signature=f"def {name}{signature}:".replace("pandas.", "pd."),
            task=textwrap.dedent(inspect.getdoc(self.solution) or ""),
            right=[],
            hints=[],
            **self.about,
        )
        inputs = cases(bare)

        def run(method: Method) -> list[list[str]]:
            return [seals(method(**copied(one)), of=f"{name} {place}") for place, one in enumerate(inputs)]

        hints = [Hint(way.mistake, way.hint, run(way.method)) for way in self.wrong_ways]
        return bare._replace(right=run(self.solution), hints=hints)


def _names(code: CodeType) -> Iterator[str]:
    """Every name of the file that a function's code uses, within its comprehensions too."""
    yield from code.co_names
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _names(part)


def copied(inputs: dict[str, Any]) -> dict[str, Any]:
    """Inputs that may be changed."""
    return {name: data.copy() if hasattr(data, "copy") else data for name, data in inputs.items()}


def exercise(
    *,
    title: str,
    difficulty: int,
    minutes: int,
    predict: str,
    given: dict[str, str],
    again: dict[str, str] | None = None,
    changes: dict[str, list[Change]] | None = None,
    share: bool = False,
    note: str = "",
) -> Callable[[Method], Solved]:
    """Make a solution an exercise; :class:`safetune_utils.teaching.exercises.Exercise` says what each part
    is."""

    def make(solution: Method) -> Solved:
        return Solved(
            solution,
            note,
            title=title,
            difficulty=difficulty,
            minutes=minutes,
            predict=predict,
            given=given,
            again=again,
            changes=changes or {},
            share=share,
        )

    return make


def solutions_folder() -> Path:
    """Where the solutions are; a wheel has none."""
    return repository_folder() / "book" / "solutions"


def solved() -> dict[str, list[Solved]]:
    """All exercises with their solutions, by chapter; empty where there are no solutions."""
    return {path.stem: _of(path) for path in sorted(solutions_folder().glob("*.py"))}


def _of(path: Path) -> list[Solved]:
    spec = importlib.util.spec_from_file_location(f"solutions_{path.stem}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [one for one in vars(module).values() if isinstance(one, Solved)]


def sealed_text(chapter: str, exercises: list[Solved]) -> str:
    """The file of a chapter's exercises."""
    found = []
    for one in exercises:
        data = one.sealed(chapter)._asdict()
        del data["chapter"]
        found.append(data | {"hints": [hint._asdict() for hint in data["hints"]]})
    return json.dumps({"exercises": found}, indent=1, ensure_ascii=False) + "\n"


def write() -> None:
    """Write ``book/exercises`` anew."""
    for name, of_chapter in solved().items():
        target = repository_folder() / "book" / "exercises" / f"{name}.json"
        target.write_text(sealed_text(name, of_chapter), "utf-8")


def mark(chapter: str) -> str:
    """A word that the instructor's sheet of a chapter bears, and nothing for students: a canary."""
    return "quokka" + hashlib.sha256(f"sheet of {chapter}".encode()).hexdigest()[:8]
