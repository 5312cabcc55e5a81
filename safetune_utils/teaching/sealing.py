"""An answer as a seal: what a checker can recognise an answer by, without holding it.

A seal is a hash. It keeps a solution from being read by accident, in a page, a search or a download. It
does not withstand somebody who tries all answers by a program, and does not have to.
"""

from __future__ import annotations

import hashlib
import json
import math
import numbers
from collections.abc import Mapping, Set
from typing import Any

import pandas as pd

# Numbers are compared to four digits behind the point.
_NEAR = 0.00003


class NotAnAnswerError(TypeError):
    """Something that no exercise asks for, such as a table or ``None``."""


def seals(answer: Any, *, of: str) -> list[str]:
    """The seals of an answer and of its two neighbours, so that the last digit of a sum does not matter.

    Args:
        answer: a number, a text, a truth value, or a list, tuple, set, dict or Series of such.
        of: what is answered; the same answer to something else has another seal.

    Raises:
        NotAnAnswerError: it is none of these.
    """
    return list(dict.fromkeys(_seal(plain(answer, add), of) for add in (0.0, -_NEAR, _NEAR)))


def _seal(answer: Any, of: str) -> str:
    text = json.dumps([of, answer], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def plain(answer: Any, add: float = 0.0) -> Any:
    """An answer as texts and lists: numbers with four digits, sets and the keys of a dict in order.

    Raises:
        NotAnAnswerError: it is none that :func:`seals` knows.
    """
    if isinstance(answer, pd.Series):
        answer = answer.to_dict()
    if isinstance(answer, str):
        return answer
    if isinstance(answer, bool) or str(type(answer).__name__) == "bool":
        return str(bool(answer))
    if isinstance(answer, numbers.Real):
        number = float(answer)
        # Adding 0 makes -0.0000 to 0.0000.
        return f"{round(number + add, 4) + 0:.4f}" if math.isfinite(number) else str(number)
    if isinstance(answer, Mapping):
        return sorted([str(plain(key)), plain(value, add)] for key, value in answer.items())
    if isinstance(answer, Set):
        return sorted(plain(one, add) for one in answer)
    if isinstance(answer, (list, tuple)):
        return [plain(one, add) for one in answer]
    raise NotAnAnswerError(type(answer).__name__)
