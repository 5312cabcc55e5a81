"""The README shows the published run: its picture in the figures' style and both themes, and its alt text."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ET

import pytest

from safetune_utils.book import readme
from safetune_utils.book.figures.palette import COLOURS, GRID, THEMES
from safetune_utils.places import repository_folder

ROOT = repository_folder()
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def test_the_pictures_and_their_alt_text_are_as_they_would_be_drawn_now() -> None:
    """Where this fails: ``python -m safetune_utils.book.readme``, and look at the README."""
    figure = readme.figure()
    for name, drawn in readme.pictures(figure).items():
        kept = (ROOT / "book" / "_static" / name).read_text("utf-8")
        assert NUMBER.split(kept) == NUMBER.split(drawn), name
        numbers = [[float(one) for one in NUMBER.findall(text)] for text in (kept, drawn)]
        assert numbers[0] == pytest.approx(numbers[1], abs=0.1), name  # processors round otherwise
    text = (ROOT / "README.md").read_text("utf-8")
    assert f'alt="{html.escape(figure.alt)}"' in text
    assert readme.with_alt(text.replace(" at 200", " at 201"), figure.alt).count(html.escape(figure.alt)) == 1


def test_a_picture_has_one_theme_s_colours_and_its_text_as_text() -> None:
    for name, picture in readme.pictures(readme.figure()).items():
        root = ET.fromstring(picture)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "malicious" in " ".join(text.text or "" for text in root.iter() if text.tag.endswith("text"))
        assert "var(" not in picture
        for theme in THEMES:
            own = {getattr(one, theme) for one in COLOURS if one is not GRID}
            used = own & set(re.findall(r"#[0-9a-f]{6}", picture))
            assert bool(used) == (theme in name), (name, theme, used)
