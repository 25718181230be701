"""The short form of the chaos; ``make chaos`` is the long one."""

from __future__ import annotations

import sys

import pytest

from smpdfu.dfu.state import Scheme
from tests.chaos.cases import KINDS, killed, stage
from tests.chaos.stage import OLD, new_maker
from tests.dfu.conftest import Maker


@pytest.fixture(scope="module")
def make() -> Maker:
    return new_maker()


@pytest.mark.parametrize("scheme", Scheme)
@pytest.mark.parametrize("name", KINDS)
def test_nothing_is_lost(make: Maker, name: str, scheme: Scheme, capsys: pytest.CaptureFixture[str]) -> None:
    kind, short, _ = KINDS[name]
    cases = list(kind(make, scheme, short if kind is not killed else 8))
    assert cases
    with capsys.disabled():
        sys.stdout.write(f"\n{name}, {scheme}: {len(cases)} cases")


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
