"""Devices on the bench."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from smpdfu.image.trailer import SwapMode
from smpdfu.virtual.boot.bootloader import BootKeys
from smpdfu.virtual.device import VirtualNrf5340

if TYPE_CHECKING:
    from tests.virtual.virtual_bench import DECRYPTION, NET_SIGNING, SIGNING, Bench, small_layout, small_simultaneous
else:
    from virtual_bench import DECRYPTION, NET_SIGNING, SIGNING, Bench, small_layout, small_simultaneous

__all__ = ["Bench"]


@pytest.fixture
def bench() -> Bench:
    """A device that takes signed images and knows no encryption."""
    return Bench()


@pytest.fixture
def device(bench: Bench) -> VirtualNrf5340:
    """A device that runs version 1."""
    found = VirtualNrf5340(bench.layout, bench.keys)
    found.load_app(bench.app_image(1))
    found.reset()
    return found


@pytest.fixture
def encrypted_bench() -> Bench:
    """A device whose bootloader is built with encryption."""
    return Bench(keys=BootKeys((SIGNING.public,), DECRYPTION))


@pytest.fixture
def provisioned_bench() -> Bench:
    """A device whose network core takes only what is signed for b0n."""
    return Bench(keys=BootKeys((SIGNING.public,), net_verifiers=(NET_SIGNING.public,)))


@pytest.fixture
def overwrite_bench() -> Bench:
    """A device whose bootloader overwrites and does not swap."""
    return Bench(layout=small_layout(SwapMode.OVERWRITE_ONLY))


@pytest.fixture
def simultaneous_bench() -> Bench:
    """A device with two image pairs, the second of which is the network core's."""
    return Bench(layout=small_simultaneous(), keys=BootKeys((SIGNING.public,), net_verifiers=(NET_SIGNING.public,)))
