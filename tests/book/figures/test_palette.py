"""Colours stand out from the page, and those that meet in a figure are told apart by every kind of eye."""

from __future__ import annotations

from itertools import combinations
from typing import Literal

import numpy as np
import pytest

from safetune_utils.book.figures.palette import COLOURS, GRID, LOOKS, SEQUENCE, WORDS, Colour, look_of, style
from safetune_utils.data.prompt_sets import PROMPT_SETS

Theme = Literal["light", "dark"]

# The theme's own grounds.
GROUND: dict[Theme, str] = {"light": "#ffffff", "dark": "#121212"}
# What eyes without one kind of cone see of linear RGB (Machado, Oliveira and Fernandes 2009, severity 1).
EYES = {
    "usual": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.3039],
    ],
}
TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
# Prompt sets that one figure of the book draws.
MEET = [
    ("malicious", "malicious_questions", "lookalikes_safe", "ordinary"),
    ("lookalikes_safe", "lookalikes_unsafe"),
    ("controversial", "opinions"),
    ("physical_unsafe", "physical_safe"),
]


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    low, high = sorted(np.array(TO_XYZ)[1] @ linear(colour) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    xyz = np.array(TO_XYZ) @ rgb / [0.95047, 1, 1.08883]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(one: str, other: str, *, eye: str) -> float:
    seen = [lab(np.clip(np.array(EYES[eye]) @ linear(colour), 0, 1)) for colour in (one, other)]
    return float(np.linalg.norm(seen[0] - seen[1]))


@pytest.mark.parametrize("theme", GROUND)
def test_lines_and_their_names_stand_out_from_the_page(theme: Theme) -> None:
    for colour in COLOURS:
        # Names are written in the colours of lines; the palest grey is a line's and a marker's alone.
        least = 1.2 if colour is GRID else 3.0 if colour.name == "pale" else 4.5
        assert contrast(getattr(colour, theme), GROUND[theme]) >= least, colour.name
    for look in (*LOOKS.values(), *SEQUENCE, WORDS):
        (colour,) = (one for one in COLOURS if one.light == look.written)
        assert contrast(getattr(colour, theme), GROUND[theme]) >= 4.5, colour.name


@pytest.mark.parametrize("theme", GROUND)
@pytest.mark.parametrize("eye", EYES)
def test_prompt_sets_that_meet_are_told_apart_by_every_eye(theme: Theme, eye: str) -> None:
    for sets in MEET:
        colours = {LOOKS[name].colour for name in sets}
        for one, other in combinations(colours, 2):
            apart = distance(getattr(one, theme), getattr(other, theme), eye=eye)
            assert apart >= 25, (one.name, other.name)


def test_two_series_that_share_a_colour_differ_in_marker_or_line() -> None:
    for looks in (list(LOOKS.values()), SEQUENCE):
        assert len(set(looks)) == len(looks)
    for sets in MEET:
        assert len({LOOKS[name].marker for name in sets}) == len(sets)


def test_a_colour_has_one_meaning() -> None:
    assert LOOKS.keys() == PROMPT_SETS.keys()
    greys: set[Colour] = {look.colour for look in SEQUENCE}
    assert not greys & {look.colour for look in LOOKS.values()}
    assert look_of("my_own", 1) == SEQUENCE[1]
    for theme in GROUND:
        assert len({getattr(colour, theme) for colour in COLOURS}) == len(COLOURS)


def test_the_style_sheet_has_every_colour_in_each_theme_and_light_ones_on_paper() -> None:
    light, dark = style().split("@media screen", 1)
    for colour in COLOURS:
        assert f"--fig-{colour.name}:{colour.light};" in light
        assert f"--fig-{colour.name}:{colour.dark};" in dark
