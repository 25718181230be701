"""Dependencies that no signer writes: what upstream's and Nordic's loaders make of them, by ``loader.c`` of both."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from smpdfu.image.format import Dependency, Image, Tlv, TlvType, Version
from smpdfu.loaders.releases import UPSTREAM
from smpdfu.loaders.rules import Loader
from smpdfu.virtual.boot.build import BootKeys, BootOptions
from tests.resigned import with_protected

if TYPE_CHECKING:
    from tests.virtual.virtual_bench import NET_SIGNING, SIGNING, Bench, small_simultaneous
else:
    from virtual_bench import NET_SIGNING, SIGNING, Bench, small_simultaneous

NORDIC = BootKeys((SIGNING.public,), net_verifiers=(NET_SIGNING.public,))
OF_UPSTREAM = replace(NORDIC, options=BootOptions(loader=Loader(UPSTREAM)))

MET = Tlv(TlvType.DEPENDENCY, Dependency(1, Version(0)).to_bytes())
UNMET = Tlv(TlvType.DEPENDENCY, Dependency(0, Version(9)).to_bytes())
SHORT = Tlv(TlvType.DEPENDENCY, bytes(11))
LONG = Tlv(TlvType.DEPENDENCY, bytes(13))
NOBODY = Tlv(TlvType.DEPENDENCY, Dependency(7, Version(0)).to_bytes())

# What the application needs, the loader, whether it and a network image that is marked with it are installed.
ROWS = [
    ((), NORDIC, True, True),
    ((MET,), NORDIC, True, True),
    ((SHORT,), NORDIC, False, False),
    ((MET, LONG), NORDIC, False, False),
    ((UNMET,), NORDIC, False, True),
    ((UNMET, SHORT), NORDIC, False, True),  # the loader reads no further than to the unmet one
    ((SHORT, UNMET), NORDIC, False, False),
    ((NOBODY, SHORT), NORDIC, True, True),
    ((NOBODY, UNMET), NORDIC, True, True),
    ((MET,), OF_UPSTREAM, True, True),
    ((SHORT,), OF_UPSTREAM, False, False),
    ((UNMET, SHORT), OF_UPSTREAM, False, False),
    ((NOBODY,), OF_UPSTREAM, False, False),
]


@pytest.mark.parametrize(("needs", "keys", "app_comes", "net_comes"), ROWS)
def test_the_first_dependency_that_is_not_met_decides(
    needs: tuple[Tlv, ...], keys: BootKeys, app_comes: bool, net_comes: bool
) -> None:
    bench = Bench(small_simultaneous(), keys)
    bench.write("primary", bench.app_image(1))
    plain = Image.from_bytes(bench.app_image(2, version=Version(2)))
    app = with_protected(plain, SIGNING, *needs).to_bytes()
    bench.upload(app)
    bench.upload(bench.net_image(2, version=Version(2)), number=1)
    result = bench.boot()
    assert (result.running is not None and result.running.header.version == Version(2), result.net_updated) == (
        app_comes,
        net_comes,
    )
    waits = [bench.slots_of(number).secondary.trailer().magic == "good" for number in (0, 1)]
    assert waits == [not app_comes, not net_comes]  # what is not installed stays pending
