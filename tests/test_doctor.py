"""What the doctor looks at: too little memory, a full disk, an old Python each give a mend."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple

import pytest

from safetune_utils import doctor

Usage = namedtuple("Usage", "total used free")


def found(what: str) -> doctor.Finding:
    return next(one for one in doctor.findings() if one["what"] == what)


@pytest.mark.parametrize(("gb", "ok"), [(4, False), (16, True)])
def test_too_little_memory_is_told(gb: int, ok: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": gb * 10**9 // 4096}
    real = os.sysconf
    monkeypatch.setattr(os, "sysconf", lambda name: pages[name] if name in pages else real(name))
    one = found("memory")
    assert (one["ok"], one["found"]) == (ok, f"{gb} GB")
    assert "4 GB" in one["mend"]


@pytest.mark.parametrize(("gb", "ok"), [(1, False), (3, True)])
def test_a_full_disk_is_told(gb: int, ok: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, gb * 10**9))
    assert found("disk for the run store")["ok"] is ok
