"""The short form of the chaos; ``make chaos`` is the long one."""

from __future__ import annotations

import sys

import pytest

from smpdfu.dfu.decide.device_state import Scheme
from smpdfu.dfu.decide.evidence import Bootloader
from smpdfu.dfu.do.update import Wish
from smpdfu.virtual.boot.bootloader import BootOptions
from smpdfu.virtual.boot.network.netcore import B0n
from tests.chaos import stage as stages
from tests.chaos.cases import KINDS, killed, stage
from tests.chaos.stage import OLD, WORDS, Words, new_maker
from tests.dfu.conftest import Maker


@pytest.fixture(scope="module")
def make() -> Maker:
    return new_maker()


@pytest.mark.parametrize("scheme", Scheme)
@pytest.mark.parametrize("name", KINDS)
def test_nothing_is_lost(make: Maker, name: str, scheme: Scheme, capsys: pytest.CaptureFixture[str]) -> None:
    kind, short, _ = KINDS[name]
    checked, false = WORDS.checked, len(WORDS.false)
    cases = list(kind(make, scheme, short if kind is not killed else 8))
    assert cases
    assert WORDS.false[false:] == []
    with capsys.disabled():
        sys.stdout.write(f"\n{name}, {scheme}: {len(cases)} cases, {WORDS.checked - checked} words, 0 false")


def test_a_loss_would_be_seen(make: Maker) -> None:
    """The checks can fail: on a device that was wiped, and on one that is never updated."""
    with stage(make, Scheme.STAGED) as one:
        one.device.app.erase(one.device.layout.primary.start, 4096)
        one.power_cycle()
        assert not one.fits()
    with stage(make, Scheme.STAGED) as one:
        one.package = one.make.package(one.make.image(version=OLD))
        with pytest.raises(AssertionError):
            one.finish()


def test_a_false_word_would_be_seen(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said of a bootloader that takes away the mark of every network image, what holds for an older one is false."""
    monkeypatch.setattr(stages, "WORDS", words := Words())
    with stage(make, Scheme.STAGED, options=BootOptions(b0n=B0n.REFUSES), console=False) as one:
        one.wish = Wish(bootloader=Bootloader("3.2"))
        assert one.call() == 0
    (false,) = words.false
    assert false.startswith("proven")
