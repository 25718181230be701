"""What the list of images proves of a hand-over: only where all loaders that the device may have agree."""

from __future__ import annotations

import pytest

from smpdfu.loaders.proof import Picture, handed_over, network_taken, outcomes
from smpdfu.loaders.releases import releases_of
from smpdfu.loaders.rules import Build, Loader


def built(name: str, **how: bool) -> Build:
    return Build(Loader(releases_of(name)[0]), **how)


BOTH = frozenset({True, False})
TAKEN, REFUSED, NEVER = frozenset({True}), frozenset({False}), frozenset[bool]()


@pytest.mark.parametrize(
    ("name", "overwrites", "pending", "listed", "gone"),
    [
        ("2.5", False, REFUSED, TAKEN, NEVER),
        ("3.3", False, REFUSED, TAKEN, NEVER),
        ("3.4.0", False, REFUSED, TAKEN, NEVER),
        ("3.4.1", False, NEVER, BOTH, NEVER),
        ("2.5", True, BOTH, NEVER, NEVER),
        ("3.4.0", True, BOTH, NEVER, NEVER),
        ("3.4.1", True, NEVER, NEVER, BOTH),
    ],
)
def test_what_a_picture_can_come_from(
    name: str, overwrites: bool, pending: frozenset[bool], listed: frozenset[bool], gone: frozenset[bool]
) -> None:
    build = built(name, overwrites=overwrites)
    found = {picture: handed_over(build, picture) for picture in Picture}
    assert found == {Picture.PENDING: pending, Picture.LISTED: listed, Picture.GONE: gone}
    for picture in Picture:  # what was not looked at is pending or gone, and not taken
        unread = frozenset[bool]() if picture is Picture.LISTED else REFUSED
        assert outcomes(build, picture) == found[picture] | unread


@pytest.mark.parametrize("how", [{"by_offset": True}, {"staged": False}])
def test_what_is_never_handed_over_is_never_taken(how: dict[str, bool]) -> None:
    for picture in Picture:
        assert handed_over(built("3.4.1", **how), picture) == NEVER
        assert True not in outcomes(built("3.4.1", **how), picture)
        if "by_offset" in how:  # what is listed was swapped in and back, or refused
            assert outcomes(built("3.4.1", **how), picture) == REFUSED


@pytest.mark.parametrize(
    ("names", "seen", "taken"),
    [
        (("2.5", "3.3"), Picture.LISTED, True),
        (("3.3", "3.4.1"), Picture.LISTED, None),
        (("3.4.1",), Picture.LISTED, None),
        (("2.5", "3.4.0"), Picture.PENDING, False),
        (("2.5", "3.4.1"), Picture.GONE, False),
        ((), Picture.LISTED, None),
    ],
)
def test_what_all_agree_on_is_proven(names: tuple[str, ...], seen: Picture, taken: bool | None) -> None:
    assert network_taken([built(name) for name in names], seen) is taken
