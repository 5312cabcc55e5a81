"""Values are recorded for the sentences of a page, and said in them as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bs4 import BeautifulSoup
from estimates import UNSCORED, change, share
from IPython.core.interactiveshell import InteractiveShell
from made_responses import NASTY

from safetune_utils.book import prose
from safetune_utils.errors import SafetuneError
from safetune_utils.statistics import Estimate


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, str], dict[str, Any]]]:
    """What cells show: data and metadata."""
    found: list[tuple[dict[str, str], dict[str, Any]]] = []
    monkeypatch.setattr("IPython.display.display", lambda data, metadata, raw: found.append((data, metadata)))
    monkeypatch.setattr(prose, "_recorded", {})
    return found


def test_values_are_kept_in_the_metadata_and_shown_nowhere(shown: list) -> None:
    number = change(2.5, 1.0, 4.0, 0.01, n=8, unit="tokens")
    prose.record(longer=number, plain=np.int64(3), words="a", none=None)
    prose.finding("a", UNSCORED)
    (data, metadata), (_, claim) = shown[:2]
    assert data == {}
    values = dict(metadata["safetune"]["values"])
    assert Estimate.from_data(values.pop("longer")) == number
    assert values == {"plain": 3, "words": "a", "none": None}
    assert dict(claim["safetune"]["values"])["claim_a"]["value"] is None
    row = {"instrument": "refusal-rules", "control": "gibberish", "n": 66, "yes": 0, "passes": True}
    prose.record_controls([row])
    assert shown[-1] == ({}, {"safetune": {"controls": [row]}})
    with pytest.raises(TypeError, match=r"half is 0\.5"):
        prose.record(half=0.5)


def test_the_magic_shows_a_sentence_as_html_and_as_plain_text(shown: list) -> None:
    shell = InteractiveShell()
    prose.load_ipython_extension(shell)
    prose.record(first=25, refused=share(0.122, 0.07, 0.2))
    shell.run_cell("%%prose\nWith **{{ first }}** examples {{ refused }} refuse.").raise_error()
    data, _ = shown[-1]
    assert data["text/plain"] == "With **25** examples 12 % (7 to 20 %, n = 98) refuse."
    sentence = BeautifulSoup(data["text/html"], "html.parser").select_one(".safetune-prose")
    assert sentence.p.get_text() == "With 25 examples 12 % (7 to 20 %, n = 98) refuse."
    assert sentence.strong.get_text() == "25"


@pytest.mark.parametrize(
    "value",
    [
        NASTY,
        "{{ first }}",
        "`code` | *a* _b_ [x](y)",
        "{% raw %}",
        "two\n\n# lines",
        "\\g<1> \\1",
        "\ue0000\ue000",
        "https://example.org",
        "- item",
    ],
)
def test_a_value_is_said_as_it_is_and_stays_in_its_place(value: str) -> None:
    markup, text = prose.render("*{{ it }}* then `{{ it }}`\n\n- {{ it }}", {"it": value})
    page = BeautifulSoup(markup, "html.parser")
    assert [page.em.get_text(), page.code.get_text(), page.li.get_text()] == [value] * 3
    assert text.count(value) == 3
    assert not page.select("a, img, script, h1, strong")


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("{{ frist }}", "names 'frist', which is not recorded: did you mean 'first'"),
        ("{{ first", "line 1"),
        ("{{ first.nothing }}", "nothing"),
        ("[a]({{ first }})", "in the address of a link"),
    ],
)
def test_a_sentence_that_cannot_be_said_says_why(text: str, mend: str) -> None:
    with pytest.raises(SafetuneError, match=mend) as caught:
        prose.render(text, {"first": 1})
    assert "\n" not in str(caught.value)
