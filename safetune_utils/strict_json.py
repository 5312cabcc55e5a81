"""JSON from outside, read strictly: what Python's own reader would take in silence, or fail on, is a fault.

Refused are lists and objects inside one another to more than 100 levels, numbers that are too long or too
large to be one, the same key twice in an object, and half a character (a lone surrogate), which no file can
hold. ``NaN`` and ``Infinity``, which Python writes, are read.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

from safetune_utils.errors import SafetuneError

MAX_DEPTH = 100
MAX_DIGITS = 100

# Half a character, as it is or as JSON writes it; the other half may follow, so this only says where to look.
_HALF = re.compile(r"[\ud800-\udfff]|\\u[dD][89a-fA-F]")


class JsonFault(ValueError):
    """A text is not JSON that is read here. Its text says why, and repeats nothing of what was read but a
    key.

    Attributes:
        line: where, counted from 1; ``None`` where that is not known.
        is_syntax: whether it is not JSON at all; else it is, and holds what is refused.
    """

    def __init__(self, reason: str, *, line: int | None = None, is_syntax: bool = False) -> None:
        super().__init__(reason)
        self.line, self.is_syntax = line, is_syntax


def parse(text: str, *, halves: bool = False) -> Any:
    """What a JSON text says.

    Args:
        text: the text.
        halves: whether half a character becomes a question mark in place of a fault; for an answer that was
            paid for.

    Raises:
        JsonFault: it is not JSON, or JSON that is refused here.
    """
    try:
        content = json.loads(text, parse_int=_whole_number, parse_float=_number, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise JsonFault(error.msg, line=error.lineno, is_syntax=True) from None
    except RecursionError:
        raise JsonFault(_TOO_DEEP) from None
    texts = _texts(content)
    if _HALF.search(text) and not all(map(_is_whole, texts)):
        if not halves:
            raise JsonFault("half a character in it")
        return _mended(content)
    return content


def read(path: Path, *, mend: str) -> Any:
    """What a JSON file in UTF-8 says.

    Args:
        path: the file.
        mend: what to do about a bad one, to end the message with, such as ``export it again``.

    Raises:
        OSError: it cannot be opened.
        SafetuneError: it is not JSON in UTF-8, or JSON that is refused here, in one line.
    """
    try:
        return parse(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise SafetuneError(f"{path} is not JSON in UTF-8 (byte {error.start}): {mend}") from None
    except JsonFault as fault:
        where = f", line {fault.line}," if fault.line else ""
        raise SafetuneError(f"{path}{where} is not JSON that can be read ({fault}): {mend}") from None


_TOO_DEEP = f"lists or objects inside one another to more than {MAX_DEPTH} levels"


def _whole_number(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise JsonFault(f"a number of {len(digits)} digits")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if len(digits) > MAX_DIGITS or math.isinf(number):
        raise JsonFault(f"a number that is too long or too large, of {len(digits)} characters")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise JsonFault(f"the key {twice[:60]!a} twice in one object")
    return found


def _texts(content: Any) -> list[str]:
    """Every text of what was read, keys too.

    Raises:
        JsonFault: it is too deep.
    """
    found: list[str] = []
    level, depth = [content], 0
    while level:
        found += [one for one in level if isinstance(one, str)]
        lists = [one for one in level if isinstance(one, list)]
        objects = [one for one in level if isinstance(one, dict)]
        if (lists or objects) and depth == MAX_DEPTH:
            raise JsonFault(_TOO_DEEP)
        found += [key for one in objects for key in one]
        level = [inner for one in (*lists, *(one.values() for one in objects)) for inner in one]
        depth += 1
    return found


def _is_whole(text: str) -> bool:
    return text == text.encode(errors="ignore").decode()


def _mended(content: Any) -> Any:
    if isinstance(content, str):
        return content.encode(errors="replace").decode()
    if isinstance(content, list):
        return [_mended(one) for one in content]
    if isinstance(content, dict):
        return {_mended(key): _mended(value) for key, value in content.items()}
    return content
