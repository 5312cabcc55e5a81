"""YAML from outside, read strictly: what YAML's own reader would take in silence, or fail on, is a fault.

Refused are the same name twice, names for parts (anchors and aliases), tags, and what is no small file. A
value without quotation marks is null, true, false or a decimal number where it is written so, and else a
text: 1e-4 is a number, and 1:30, 010 and 2024-13-45 are texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from safetune_utils.errors import SafetuneError, first_line
from safetune_utils.strict_json import MAX_DEPTH, MAX_DIGITS

_LARGEST = 5_000_000  # bytes


class _Loader(yaml.SafeLoader):
    """Knows null, true, false and decimal numbers, and every name once."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own attribute)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("int", rf"[-+]?(?:0|[1-9][0-9]{{0,{MAX_DIGITS}}})", [*"-+0123456789"]),
    (
        "float",
        r"(?=[-+]?\.?[0-9])[-+]?(?:0|[1-9][0-9]{0,99})?(?:\.[0-9]{0,99})?(?:[eE][-+]?[0-9]{1,3})?",
        [*"-+.0123456789"],
    ),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", [*"-+."]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first)


class _Dumper(yaml.SafeDumper):
    """Writes what this reader and YAML's own read alike: in quotation marks where one of them would not take
    a text for a text, and without names for parts.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 (PyYAML's own attribute)
        first: [
            *yaml.SafeDumper.yaml_implicit_resolvers.get(first, []),
            *_Loader.yaml_implicit_resolvers.get(first, []),
        ]
        for first in {*yaml.SafeDumper.yaml_implicit_resolvers, *_Loader.yaml_implicit_resolvers}
    }

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _float(loader: _Loader, node: yaml.ScalarNode) -> float:
    text = str(loader.construct_scalar(node)).lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key, value in node.value:
        name = loader.construct_object(key, deep=True)
        if not isinstance(name, str | int | float | bool | None):
            raise _fault("a name that is no text", key.start_mark)
        if name in found:
            raise _fault(f"{str(name)[:60]!a} twice", key.start_mark)
        found[name] = loader.construct_object(value, deep=True)
    return found


_Loader.add_constructor("tag:yaml.org,2002:float", _float)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def _fault(reason: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=reason, problem_mark=mark)


def read(path: Path) -> Any:
    """What a YAML file in UTF-8 says.

    Raises:
        OSError: it cannot be opened.
        SafetuneError: it is not YAML in UTF-8, or YAML that is refused here, in one line.
    """
    if path.exists() and not path.is_file():
        raise SafetuneError(f"{path} is no file: give the path of a YAML file")
    if path.stat().st_size > _LARGEST:
        raise SafetuneError(f"{path} has more than {_LARGEST / 1e6:g} MB: give a file of parameters")
    try:
        text = path.read_bytes().decode("utf-8-sig")
        _look(text)
        return yaml.load(text, Loader=_Loader)  # of SafeLoader's kind
    except UnicodeDecodeError as error:
        raise SafetuneError(f"{path} is no YAML in UTF-8 (byte {error.start}): save it as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        where = f", line {error.problem_mark.line + 1}," if error.problem_mark else ""
        raise SafetuneError(
            f"{path}{where} is no YAML that can be read ({error.problem}): correct it"
        ) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise SafetuneError(f"{path} is no YAML that can be read ({first_line(error)}): correct it") from None


def written(content: Mapping[str, Any]) -> str:
    """Names and values as YAML, for :func:`read` and for any other reader."""
    return str(yaml.dump(dict(content), Dumper=_Dumper, sort_keys=False, allow_unicode=True))


def _look(text: str) -> None:
    """Raise ``yaml.MarkedYAMLError`` where a text has what is refused, before anything is made of it."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if getattr(event, "anchor", None):
            raise _fault("a name for a part (& or *): write the part out where it is meant", event.start_mark)
        if getattr(event, "tag", None):
            raise _fault("a tag (!): write the value alone", event.start_mark)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _fault(f"lists inside one another to more than {MAX_DEPTH} levels", event.start_mark)
