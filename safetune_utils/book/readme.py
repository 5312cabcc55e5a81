"""The README's picture: the main figure of the published run, light and dark, with its alt text.

``python -m safetune_utils.book.readme`` draws it anew; a test tells when it is out of date.
"""

from __future__ import annotations

import html
import re

from safetune_utils.book.figures import Figure
from safetune_utils.book.figures.palette import THEMES
from safetune_utils.book.figures.svg import as_file
from safetune_utils.book.findings import read
from safetune_utils.book.generated import verdicts
from safetune_utils.places import repository_folder
from safetune_utils.terminal import say

RUN = "pocket"
_ALT = re.compile(r'(<img alt=")[^"]*(" src="book/_static/safety_amount-light\.svg">)')


def figure() -> Figure:
    """The figure that the picture shows."""
    return verdicts.curve(RUN, read(RUN)["01_safety_amount"])


def pictures(shown: Figure) -> dict[str, str]:
    """The picture in either theme, by the name of its file."""
    (drawing,) = shown.drawings
    return {f"safety_amount-{theme}.svg": as_file(drawing, theme=theme) for theme in THEMES}


def with_alt(text: str, alt: str) -> str:
    """A README with this alt text for the picture."""
    return _ALT.sub(lambda found: f"{found[1]}{html.escape(alt)}{found[2]}", text)


def main() -> None:
    """Write the pictures, and their alt text into the README."""
    root, shown = repository_folder(), figure()
    for name, picture in pictures(shown).items():
        (root / "book" / "_static" / name).write_text(picture, "utf-8")
    readme = root / "README.md"
    readme.write_text(with_alt(readme.read_text("utf-8"), shown.alt), "utf-8")
    say("drawn: book/_static/safety_amount-light.svg, safety_amount-dark.svg and their alt text in README.md")


if __name__ == "__main__":
    main()
