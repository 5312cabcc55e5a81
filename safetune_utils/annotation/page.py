"""Pages that are one file: they open from a folder without network, a person uses them with the keyboard, and
they export JSON.

A page is a template with one inline style and one inline script, filled with data that is never trusted. What
the pages share is in ``page.html``; what is asked of a person on one of them is in a file of its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetune_utils import strict_json
from safetune_utils.errors import SafetuneError


def template(task: str) -> str:
    """The template of a page: ``page.html`` with the style, the script and the parts of ``<task>.html``."""
    folder = Path(__file__).parent
    body = (folder / f"{task}.html").read_text("utf-8")
    parts = dict(re.findall(r'<template id="(\w+)">\n(.*?)</template>', body, re.DOTALL))
    parts |= {tag: only(body, tag).lstrip("\n") for tag in ("style", "script")}
    shell = (folder / "page.html").read_text("utf-8")
    return re.sub(r"\{\{(item|dock|keys|style|script)\}\}", lambda found: parts[found[1]], shell)


def fill(template: str, *, data: Mapping[str, object]) -> str:
    """The template with its two placeholders filled: ``{{data}}`` with JSON, ``{{policy}}`` with the security
    policy.

    Returns:
        HTML that needs no other file. Its policy forbids every request, and every script and style except the
        template's own.
    """
    policy = (
        f"default-src 'none'; style-src {hash_source(only(template, 'style'))}; "
        f"script-src {hash_source(only(template, 'script'))}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    # json already escapes all that is not ASCII, U+2028 and U+2029 included; these three characters could end
    # the script tag.
    encoded = json.dumps(data).replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    parts = {"policy": policy, "data": encoded}
    # In one pass, so that a placeholder's name in a text is not filled.
    return re.sub(r"\{\{(policy|data)\}\}", lambda found: parts[found[1]], template)


def read_export(path: Path, *, kind: str, form: str, items: str | None = None) -> dict[str, Any]:
    """Read what a page exported, and check that it has the right form and was made for the right items.

    Args:
        path: the JSON file.
        kind: what the file is, in one word, for the messages.
        form: the value of ``form`` in every such file.
        items: sha256 of the rows that the page showed; ``None`` where they are not known yet.

    Returns:
        The content of the file; only its ``form`` and ``items`` are checked here.

    Raises:
        SafetuneError: the file is missing, is not JSON, has another form, or was made for other items.
    """
    try:
        content = strict_json.read(path, mend=f"export it again from the {kind} page")
    except OSError as error:
        raise SafetuneError(
            f"{path} cannot be read ({error.strerror}): give the path of a file that the {kind} page exported"
        ) from None
    if not isinstance(content, dict) or content.get("form") != form:
        raise SafetuneError(f"{path} is not of the form '{form}': export it again from the {kind} page")
    if items is not None and content.get("items") != items:
        raise SafetuneError(
            f"{path} was made for other items: give the items its page was made from, or judge these again"
        )
    return content


def hash_source(source: str) -> str:
    """The security policy's name for an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def only(markup: str, tag: str) -> str:
    """What the one element with this tag, and no attribute, holds."""
    (source,) = re.findall(f"<{tag}>(.*?)</{tag}>", markup, re.DOTALL)
    return source
