"""A drawing of matplotlib as part of a page: real text, the page's colours, names of its own. And such a part
as a file of its own again, for places that have no style sheet of ours.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from safetune_utils.book.figures.palette import COLOURS, Theme

_SVG, _XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
# A drawing is made for a phone; a file is shown beside text of a desktop.
_ENLARGED = 1.5
# What is left out: who drew it, and a style sheet that would hold for the whole page.
_LEFT_OUT = {"metadata", "style", "title"}
_NUMBER = re.compile(r"-?\d+\.\d+")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_FONT = re.compile(r"font: (?:[\w ]*? )?([\d.]+px) [^;]*|font-family: [^;]*;? ?")


def part_of_page(drawing: str, *, name: str) -> str:
    """A drawing as one ``<svg>`` to stand in a page, hidden from screen readers, which have the alt text.

    Its colours become those of the style sheet, its text keeps the page's font, and what is named in it has
    the drawing's name before its own, so that no two drawings of a page share one.

    Args:
        drawing: SVG as matplotlib writes it with ``svg.fonttype`` ``none``.
        name: no other drawing of the page has it.
    """
    root = ET.fromstring(drawing)
    _clean(root, _referenced(root), name)
    width, height = root.attrib["viewBox"].split()[2:]
    root.attrib = {
        "viewBox": f"0 0 {width} {height}",
        "style": f"--w:{float(width):.0f}",
        "focusable": "false",
        "aria-hidden": "true",
    }
    return ET.tostring(root, encoding="unicode", short_empty_elements=True)


def as_file(drawing: str, *, theme: Theme) -> str:
    """A drawing of :func:`part_of_page` as an SVG file in one theme's colours, on no ground of its own."""
    root = ET.fromstring(drawing)
    width, height = (float(size) for size in root.attrib["viewBox"].split()[2:])
    root.attrib = {
        "xmlns": _SVG[1:-1],
        "viewBox": root.attrib["viewBox"],
        "width": f"{width * _ENLARGED:.0f}",
        "height": f"{height * _ENLARGED:.0f}",
        "font-family": "system-ui, sans-serif",
        "stroke-linejoin": "round",
    }
    ET.indent(root, " ")
    text = ET.tostring(root, encoding="unicode")
    for colour in COLOURS:
        text = text.replace(f"var(--fig-{colour.name})", getattr(colour, theme))
    return text + "\n"


def _referenced(root: ET.Element) -> set[str]:
    text = [value for one in root.iter() for key, value in one.attrib.items() if key != "id"]
    used = {name for value in text for name in _REFERENCE.findall(value)}
    return used | {value[1:] for value in text if value.startswith("#")}


def _clean(element: ET.Element, used: set[str], name: str) -> None:
    element.tag = element.tag.removeprefix(_SVG)
    element.attrib = dict(
        pair for key, value in element.attrib.items() if (pair := _attribute(key, value, used, name))
    )
    if element.tag != "text":
        element.text = None
    element.tail = None
    children = []
    for child in list(element):
        if child.tag.removeprefix(_SVG) in _LEFT_OUT:
            continue
        _clean(child, used, name)
        # A group that says nothing, and definitions that hold nothing, are no more than their content.
        children += list(child) if child.tag == "g" and not child.attrib else [child]
    element[:] = [child for child in children if child.tag not in ("g", "defs") or len(child)]


def _attribute(key: str, value: str, used: set[str], name: str) -> tuple[str, str] | None:
    if key == "id":
        return (key, f"{name}-{value}") if value in used else None
    if key == f"{_XLINK}href":
        return "href", f"#{name}-{value[1:]}"
    if key == "transform" and value.startswith("rotate(-0 "):
        return None
    value = " ".join(_REFERENCE.sub(rf"url(#{name}-\1)", value).split())
    value = _NUMBER.sub(lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), value)
    if key == "style":
        value = _FONT.sub(lambda found: f"font-size: {found[1]}" if found[1] else "", value)
        for colour in COLOURS:
            value = value.replace(colour.light, f"var(--fig-{colour.name})")
    return key, value
