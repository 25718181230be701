"""Which releases there are, how one is named, and what each of them brings."""

from __future__ import annotations

from itertools import pairwise

import pytest

from smpdfu.loaders.releases import (
    LATEST,
    NAMES,
    RELEASES,
    UPSTREAM,
    UPSTREAM_OLD,
    Generation,
    Partitions,
    Release,
    release_of_commit,
    releases_of,
)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("2.3", ["2.3"]),
        ("v2.9.1", ["2.9"]),
        ("2.5.3", ["2.5"]),
        ("3.4", ["3.4.0", "3.4.1"]),
        ("3.4.0", ["3.4.0"]),
        ("3.4.1", ["3.4.1"]),
        ("3.4.7", ["3.4.1"]),
        ("3.4.99", ["3.5"]),
        ("3.3.99", ["3.4.0"]),
        ("3.5.0", ["3.5"]),
        ("v2.7.0-5cb85570ca43", ["2.7"]),
        ("latest", ["3.5"]),
        ("upstream", ["upstream"]),
        ("upstream-2.1", ["upstream-2.1"]),
    ],
)
def test_a_release_is_found_by_its_name(text: str, names: list[str]) -> None:
    assert [release.name for release in releases_of(text)] == names


@pytest.mark.parametrize("text", ["", "3", "two", "3.x", "1" * 400, "2.1", "9.9", "v"])
def test_what_is_no_release_that_is_known_is_refused_with_those_that_are(text: str) -> None:
    with pytest.raises(ValueError, match=r"NCS|nRF Connect SDK"):
        releases_of(text)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_one_release(name: str) -> None:
    assert len(releases_of(name)) == 1


def test_the_releases_are_in_order_and_no_generation_begins_twice() -> None:
    for older, newer in pairwise(RELEASES):
        assert older.version < newer.version
        assert older.generation <= newer.generation
    assert RELEASES[-1] is LATEST
    nordic = {release.generation for release in RELEASES}
    assert nordic == set(Generation) - {Generation.UPSTREAM, Generation.UPSTREAM_OLD}


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_a_commit_of_the_boot_banner_tells_its_release(release: Release) -> None:
    assert release.commits
    for commit in release.commits:
        assert release_of_commit(commit) is release
        assert release_of_commit(commit[:8]) is release
        assert release_of_commit(commit + "0123456789abcdef") is release
        assert release_of_commit(commit[:6]) is None
    assert release_of_commit("0" * 12) is None


# From the sources of each release: what its ``loader.c``, swap tables and Kconfig have.
FROM_3_0, FROM_3_2, FROM_3_3, FROM_2_7 = (3, 0, 0), (3, 2, 0), (3, 3, 0), (2, 7, 0)


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_what_came_with_which_release(release: Release) -> None:
    version = release.version
    assert release.by_offset == (version >= FROM_3_0)
    assert release.nsib_counts_network == (version >= FROM_3_0)
    assert release.reverts_past_any_magic == (version >= FROM_3_0)
    assert release.clears_stuck_revert == (version >= FROM_3_0)
    assert release.offers_header_check == (version >= FROM_3_2)
    assert release.swaps_network == (version >= FROM_3_3)
    assert (Partitions.DTS in release.partitions) == (version >= FROM_3_3)
    assert bool(release.banner) == (version >= FROM_2_7)
    assert release.is_nordic
    assert release.title == f"NCS {release.name}"


def test_upstream_before_december_2024_is_a_loader_of_its_own() -> None:
    assert (UPSTREAM.reverts_past_any_magic, UPSTREAM_OLD.reverts_past_any_magic) == (True, False)
    assert (UPSTREAM.clears_stuck_revert, UPSTREAM_OLD.clears_stuck_revert) == (True, False)
    assert (UPSTREAM.by_offset, UPSTREAM_OLD.by_offset) == (True, False)
    assert {UPSTREAM.is_nordic, UPSTREAM_OLD.is_nordic} == {False}
    assert (UPSTREAM.title, UPSTREAM_OLD.title) == ("upstream MCUboot", "upstream MCUboot until 2.1")
