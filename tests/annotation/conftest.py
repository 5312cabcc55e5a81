"""The review page of a few drafts, opened in a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import opening
from draft_items import ITEMS

from safetune_utils.annotation import review

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Opens the page of some items."""
    with opening(browser, tmp_path / "review.html") as open_html:
        yield lambda items=ITEMS, **options: open_html(
            review.page(items, title="Drafts <1>", note="Judge & decide"), **options
        )
