"""The colours of the book's figures, in one place: a hue always means one kind of request.

What else differs in a figure, such as runs or instruments, differs in depth of grey, in marker and in line.
A test holds that every colour stands out from the page and that those which meet in a figure are told apart
by readers who see colours otherwise.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")


class Colour(NamedTuple):
    """A colour by what it is called in the style sheet, in the light and in the dark theme."""

    name: str
    light: str
    dark: str


class Look(NamedTuple):
    """How a series is drawn: its colour, its marker and its line."""

    colour: Colour
    marker: str
    line: str = "-"

    @property
    def drawn(self) -> str:
        """The colour to draw with, which :mod:`safetune_utils.book.figures.svg` finds in the drawing."""
        return self.colour.light

    @property
    def written(self) -> str:
        """The colour to write its name in: its own, unless that is too pale for words."""
        return (_MIDDLE if self.colour is _PALE else self.colour).light


INK = Colour("ink", "#1f2328", "#e6edf3")
GRID = Colour("grid", "#d0d7de", "#3d444d")

_ORANGE = Colour("malicious", "#b3400a", "#ff9d5c")
_CRIMSON = Colour("unsafe", "#9b1c31", "#ff8a94")
_MUSTARD = Colour("claims", "#8a6d00", "#e3c341")
_GREEN = Colour("opinions", "#0a6b58", "#4fd1b5")
_PLUM = Colour("safe", "#7a2a7a", "#f5bcf5")
_BLUE = Colour("ordinary", "#0a3fc2", "#6a95f7")
_MIDDLE = Colour("middle", "#57606a", "#a8b1bb")
_PALE = Colour("pale", "#818b98", "#7d8793")

# By the kind of request: malicious, claims, opinions on them, either half of a pair, ordinary.
LOOKS = {
    "malicious": Look(_ORANGE, "o"),
    "malicious_questions": Look(_ORANGE, "s", "--"),
    "hateful": Look(_MUSTARD, "D"),
    "controversial": Look(_MUSTARD, "P", "--"),
    "opinions": Look(_GREEN, "X", ":"),
    "physical_unsafe": Look(_CRIMSON, "v", "--"),
    "physical_safe": Look(_PLUM, "^", "--"),
    "lookalikes_unsafe": Look(_CRIMSON, "v"),
    "lookalikes_safe": Look(_PLUM, "^"),
    "ordinary": Look(_BLUE, "D"),
}
# For what is no kind of request: runs, amounts, instruments, readers.
SEQUENCE = (
    Look(INK, "o"),
    Look(_MIDDLE, "s", "--"),
    Look(_PALE, "^"),
    Look(INK, "D", "--"),
    Look(_MIDDLE, "v"),
    Look(_PALE, "P", "--"),
)
# What a bag of words would do: thin lines, with the markers of the prompt sets.
WORDS = Look(_MIDDLE, "None")
COLOURS = (INK, GRID, _ORANGE, _CRIMSON, _MUSTARD, _GREEN, _PLUM, _BLUE, _MIDDLE, _PALE)


def look_of(prompt_set: str, place: int) -> Look:
    """How a prompt set is drawn: as its kind is, else by its place among the sets of a figure."""
    return LOOKS.get(prompt_set) or SEQUENCE[place % len(SEQUENCE)]


def style() -> str:
    """The colours as a style sheet: light, dark, and light again on paper whatever the screen shows."""

    def rules(theme: Theme) -> str:
        return "".join(f"--fig-{colour.name}:{getattr(colour, theme)};" for colour in COLOURS)

    dark = "html[data-theme=dark] .safetune-figure,body[data-jp-theme-light=false] .safetune-figure"
    ink = "".join(f"--fig-{colour.name}:{INK.light};" for colour in COLOURS if colour is not GRID)
    return (
        f".safetune-figure{{{rules('light')}}}@media screen{{{dark}{{{rules('dark')}}}}}"
        f"@media print and (monochrome){{.safetune-figure{{{ink}}}}}"
    )
