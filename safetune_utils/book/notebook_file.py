"""A notebook's file, whoever wrote it, as its cells and what is said about it.

Its form is checked here and not by nbformat, whose reader of schemas takes seconds to import.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, ValidationError

from safetune_utils import strict_json
from safetune_utils.errors import SafetuneError, first_line

if TYPE_CHECKING:
    import nbformat

_MEND = "give a notebook as Jupyter saves it"


def _joined(given: Any) -> Any:
    """A text that was saved as a list of its lines, as one."""
    is_lines = isinstance(given, list) and all(isinstance(line, str) for line in given)
    return "".join(given) if is_lines else given


_Text = Annotated[str, BeforeValidator(_joined)]
_About = dict[str, Any]


class Stream(BaseModel):
    """What a cell printed."""

    output_type: Literal["stream"]
    name: str
    text: _Text

    metadata: _About = {}
    data: _About = {}


class Shown(BaseModel):
    """What a cell showed: ``data`` by its kind, such as ``text/html``."""

    output_type: Literal["display_data", "execute_result"]
    data: dict[str, Annotated[Any, BeforeValidator(_joined)]]
    metadata: _About


class Failure(BaseModel):
    """How a cell failed."""

    output_type: Literal["error"]
    ename: str
    evalue: str
    traceback: list[str]

    metadata: _About = {}
    data: _About = {}


Output = Annotated[Stream | Shown | Failure, Discriminator("output_type")]


class Words(BaseModel):
    """A cell that is not code."""

    cell_type: Literal["markdown", "raw"]
    metadata: _About
    source: _Text
    outputs: list[Output] = Field([], max_length=0)


class Code(BaseModel):
    """A cell of code, with what it put out."""

    cell_type: Literal["code"]
    metadata: _About
    source: _Text
    execution_count: int | None
    outputs: list[Output]


class Notebook(BaseModel):
    """A notebook in version 4 of its format."""

    nbformat: Literal[4]
    nbformat_minor: int
    metadata: _About
    cells: list[Annotated[Words | Code, Discriminator("cell_type")]]

    @property
    def code(self) -> list[Code]:
        """Its cells of code."""
        return [cell for cell in self.cells if isinstance(cell, Code)]


def read_notebook(path: Path) -> Notebook:
    """A notebook; one in an older version of the format as it is in version 4.

    Raises:
        OSError: the file cannot be opened.
        SafetuneError: it is not JSON, or no notebook.
    """
    content = strict_json.read(path, mend=_MEND)
    if isinstance(content, dict) and content.get("nbformat") in (1, 2, 3):
        content = whole_notebook(path)
    try:
        return Notebook.model_validate(content, strict=True)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))[:80]
        raise SafetuneError(
            f"{path} is no notebook ({where + ': ' if where else ''}{fault['msg']}): {_MEND}"
        ) from None


def whole_notebook(path: Path) -> nbformat.NotebookNode:
    """A notebook in version 4 of its format as nbformat's object, to change it and write it.

    Raises:
        OSError: the file cannot be opened.
        SafetuneError: it is no notebook.
    """
    import nbformat
    import nbformat.reader

    try:
        notebook = nbformat.convert(nbformat.reader.reads(path.read_text("utf-8-sig")), 4)
        nbformat.validate(notebook)
    except Exception as error:  # of many kinds, where not even the outer form is that of a notebook
        raise SafetuneError(f"{path} is no notebook ({first_line(error)}): {_MEND}") from None
    return notebook
