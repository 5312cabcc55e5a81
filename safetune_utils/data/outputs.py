"""Files that a command writes for a person: checked before the work, held while it runs, and never lost.

The form is the name's: ``.jsonl``, ``.json`` (a list of objects), ``.csv``, ``.parquet``, each also with
``.gz``. A CSV is meant for a spreadsheet, which takes a text that begins with ``=``, ``+``, ``-`` or ``@``
for a formula; such a text gets an apostrophe before it, and a last column says in which columns of the row,
so that :mod:`safetune_utils.data.files` reads it as it was.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from safetune_utils.data.files import DISARMED, form_of
from safetune_utils.errors import SafetuneError, first_line, of_system
from safetune_utils.machine.files import check_writable, json_lines, replacing

FORMS = (".jsonl", ".json", ".csv", ".parquet")

# What a spreadsheet may take for a formula: these signs, also in full width, a tab and a line's end.
_FORMULA = re.compile(r"[=+\-@\uff1d\uff0b\uff0d\uff20\t\r]")
# A number, and one with its interval: they stay as they are.
_ONE = r"[+-]?\d+([.,]\d+)*(e[+-]?\d+)?"
_NUMBER = re.compile(rf"{_ONE}( ?%)?( \({_ONE} to {_ONE}\))?", re.IGNORECASE)


@contextlib.contextmanager
def held(
    path: Path, *, forms: Sequence[str] = FORMS, apart_from: Iterable[str | Path] = ()
) -> Iterator[None]:
    """Check, before any work, that a file can be written, and keep other processes from writing it for as
    long as the block takes. Its folder is made where it is missing.

    Args:
        path: the file; or a folder, with no ``forms``.
        forms: the endings that it may have; each of several may be followed by ``.gz``.
        apart_from: what is read, which it must not be.

    Raises:
        OSError: its folder cannot be written to.
        SafetuneError: its name has none of the forms, it is a folder, it is what is read, or another process
            is writing it.
    """
    if path.exists() and not path.is_file() and not path.is_dir():  # a device, such as /dev/stdout
        yield
        return
    if forms and path.is_dir():
        raise SafetuneError(f"{path} is a folder: name a file in it, with {_or(forms)} at its end")
    if path.is_symlink() and not Path(os.path.realpath(path)).parent.is_dir():
        raise SafetuneError(f"{path} leads to a folder that is not there: choose another name for the output")
    packed = path.name.lower().endswith(".gz") and len(forms) == 1
    if forms and (packed or form_of(path, forms) is None):
        also = ", also with .gz" if len(forms) > 1 else ""
        raise SafetuneError(f"{path} is of no form that is written here: let it end in {_or(forms)}{also}")
    for source in apart_from:
        # Not Path.resolve, which fails where links lead in a circle; what is read tells of that.
        same = os.path.realpath(path) == os.path.realpath(Path(source).expanduser())
        if same or _are_one_file(path, Path(source)):
            raise SafetuneError(f"{path} is also what is read: choose another name for the output")
    path.parent.mkdir(parents=True, exist_ok=True)
    check_writable(path.parent)  # told apart from a file that another process writes
    lock = path.with_name(f"{path.name}.lock")
    try:
        with FileLock(lock, timeout=0):
            try:
                yield
            finally:
                with contextlib.suppress(OSError):  # Windows removes no open file
                    lock.unlink()
    except Timeout:
        raise SafetuneError(
            f"{path} is being written by another process: wait for it, or choose another name"
        ) from None


def _or(forms: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(forms[:-1]), forms[-1]]))


def _are_one_file(path: Path, source: Path) -> bool:
    return path.exists() and source.exists() and path.samefile(source)


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write records in the form of the file's name; what cannot be written there goes beside, as JSON Lines.

    Args:
        path: the file.
        rows: each by its fields; an object in a field becomes columns of its own in a table.

    Raises:
        SafetuneError: it could not be written there; the message says why, and where it is.
    """
    write(
        path,
        lambda: _packed(path, encoded(rows, form_of(path) or ".jsonl")),
        kept=lambda: json_lines(rows).encode(),
        kept_form=".jsonl",
    )


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8, see :func:`write`."""
    kept_form = form_of(path) or path.suffix
    write(path, lambda: _packed(path, text.encode()), kept=text.encode, kept_form=kept_form)


def write(path: Path, content: Callable[[], bytes], *, kept: Callable[[], bytes], kept_form: str) -> None:
    """Write a file whole or not at all; what cannot be written there goes beside it, else into the current
    folder, else into that of temporary files.

    Args:
        path: the file.
        content: gives what to write.
        kept: gives what to keep where that fails.
        kept_form: the ending of what is kept.

    Raises:
        SafetuneError: it could not be written there; the message says why, and where it is.
    """
    try:
        made = content()
        with replacing(path) as partial:
            partial.write_bytes(made)
    except Exception as error:  # of the system, or of a library that makes the form
        why = of_system(error) if isinstance(error, OSError) else first_line(error)
        other = _keep(path, kept(), kept_form)
        raise SafetuneError(f"{path} could not be written ({why}); what was computed is in {other}") from None


def _keep(path: Path, content: bytes, form: str) -> Path:
    """Write what was computed into the first place that takes it, under a name of its own."""
    stem = path.name.split(".")[0]
    for folder in (path.parent, Path.cwd(), Path(tempfile.gettempdir())):
        with contextlib.suppress(OSError):
            file, name = tempfile.mkstemp(prefix=f"{stem}-", suffix=f".kept{form}", dir=folder)
            with open(file, "wb") as kept:
                kept.write(content)
            return Path(name)
    raise SafetuneError(
        f"{path} could not be written, nor could {Path.cwd()} and {tempfile.gettempdir()}: make room on the "
        "disk, and run it again"
    )


def encoded(rows: Sequence[Mapping[str, Any]], form: str) -> bytes:
    """Records in one of :data:`FORMS`, not packed."""
    if form == ".jsonl":
        return json_lines(rows).encode()
    if form == ".json":
        return (json.dumps(list(map(dict, rows)), ensure_ascii=False, indent=1) + "\n").encode()
    flat = [_flat(row) for row in rows]
    if form == ".csv":
        return _table(flat)
    import pyarrow
    import pyarrow.parquet

    file = io.BytesIO()
    columns = list(dict.fromkeys(name for row in flat for name in row))
    table = pyarrow.table({name: [row.get(name) for row in flat] for name in columns})
    pyarrow.parquet.write_table(table, file)
    return file.getvalue()


def _packed(path: Path, content: bytes) -> bytes:
    return gzip.compress(content, mtime=0) if path.name.lower().endswith(".gz") else content


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{inner}": one for inner, one in value.items()}
        else:
            found[name] = value
    return found


def _table(rows: Sequence[Mapping[str, Any]]) -> bytes:
    shown = []
    for row in rows:
        safe = {name: disarmed(value) for name, value in row.items()}
        changed = [name for name in row if safe[name] != row[name]]
        shown.append(safe | ({DISARMED: ",".join(changed)} if changed else {}))
    file = io.StringIO(newline="")
    columns = list(dict.fromkeys(name for row in shown for name in row if name != DISARMED))
    columns += [DISARMED] if any(DISARMED in row for row in shown) else []
    writer = csv.DictWriter(file, columns)
    writer.writeheader()
    writer.writerows(shown)
    return file.getvalue().encode()


def disarmed(value: Any) -> Any:
    """A cell as a spreadsheet may have it: a text that it could take for a formula gets an apostrophe before
    it. Numbers stay numbers, also those in a text, such as ``-0.03``.
    """
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def as_csv(numbers: pd.DataFrame) -> str:
    """A table as CSV for a spreadsheet, its texts :func:`disarmed`."""
    shown = numbers.copy()
    for name in shown.select_dtypes("float").columns:
        # Amounts stay whole numbers beside the empty one of the untuned model.
        if shown[name].hasnans and (shown[name].dropna() % 1 == 0).all():
            shown[name] = shown[name].astype("Int64")
    for name in shown.select_dtypes(exclude=["number", "bool"]).columns:
        shown[name] = shown[name].map(disarmed)
    return shown.to_csv(index=False)


def of_adapters(numbers: pd.DataFrame) -> pd.DataFrame:
    """The rows that are the adapters' own, of a figure's numbers in which those of the untuned model and of a
    bag of words stand beside them, as ``by`` says; any other table as it is.
    """
    return numbers if "by" not in numbers else rows_by(numbers, "adapter")


def rows_by(numbers: pd.DataFrame, whose: str) -> pd.DataFrame:
    """The rows of a figure's numbers that are the adapters', the untuned model's or a bag of words' (``by``
    says whose), as they were before they were laid beside one another.
    """
    rows = numbers[numbers["by"] == whose].drop(columns="by").reset_index(drop=True)
    # The untuned model has no amount, and beside its empty cells the others are read as fractions.
    if "n_safety" not in rows or rows["n_safety"].isna().all():
        return rows.drop(columns="n_safety", errors="ignore")
    return rows.astype({"n_safety": int})
