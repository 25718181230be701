"""The lines that loaders write are those by which they are recognised."""

from __future__ import annotations

import pytest

from smpdfu.loaders import lines
from smpdfu.loaders.console import read_boot
from smpdfu.loaders.releases import UPSTREAM, UPSTREAM_OLD, Generation
from smpdfu.loaders.rules import NORDIC, Loader

LOADERS = sorted(NORDIC, key=lambda one: (one.release.version, one.partitions))
START = "I: Starting bootloader"


@pytest.mark.parametrize("loader", LOADERS, ids=lambda one: one.name)
def test_a_banner_tells_its_release(loader: Loader) -> None:
    text = "\n".join((*lines.banner(loader), START, "I: Jumping to the first image slot", ""))
    found = {one.release for one in read_boot(text).loaders}
    if loader.release.banner:
        assert found == {loader.release}
    else:
        assert found == {one.release for one in NORDIC}


@pytest.mark.parametrize("loader", LOADERS, ids=lambda one: one.name)
def test_the_address_check_s_words_fit_the_loader(loader: Loader) -> None:
    said = read_boot("\n".join((START, lines.wrong_place(loader, 0), "")))
    assert loader in said.loaders
    assert said.tells_loader
    newest = read_boot("\n".join((START, lines.for_network(0), "")))
    assert (loader in newest.loaders) == (loader.release.generation is Generation.G5)


def test_upstream_s_banner_names_no_sdk() -> None:
    assert lines.banner(Loader(UPSTREAM)) == ("*** Booting MCUboot v2.4.0 ***",)


@pytest.mark.parametrize("loader", LOADERS, ids=lambda one: one.name)
def test_one_word_began_with_a_small_letter_until_3_4_1(loader: Loader) -> None:
    line = lines.insufficient_version(loader)
    assert line.startswith("E: I" if loader.release.generation is Generation.G5 else "E: i")
    assert line.lower() == "e: insufficient version in secondary slot"


def test_upstream_writes_that_word_as_the_newest_loader_does() -> None:
    assert lines.insufficient_version(Loader(UPSTREAM)) == "E: Insufficient version in secondary slot"
    assert lines.insufficient_version(Loader(UPSTREAM_OLD)) == "E: insufficient version in secondary slot"
