"""More rows of the table: devices whose application is replaced, by a firmware loader or by serial recovery."""

from __future__ import annotations

from smpdfu.virtual.server.serial_recovery import RecoveryBuild
from tests.cli.device.preflight_bench import Bench, Built
from tests.cli.device.preflight_rows import APP_ONLY, ERROR, NEW, NOTE, OLD, WARNING, Row, after, app, both, in_recovery

LOADING = Built("nrf5340dk-firmware-loader", encrypts=False)
ONE_SLOT = Built("nrf5340dk-single-slot", encrypts=False)


def without_direct_upload(bench: Bench) -> None:
    """The bootloader's recovery is built as MCUboot's default, with slot info."""
    bench.patch.setattr("smpdfu.virtual.device.DEFAULT_BUILD", RecoveryBuild(direct_upload=False, slot_info=True))


REPLACING_ROWS = (
    Row("recovery-number", ERROR, after(both(), in_recovery, without_direct_upload), 6, OLD, arguments=("--recovery",)),
    Row("recovery-net", NOTE, both(), 0, NEW, ONE_SLOT),
    Row("no-revert", WARNING, app(), 0, APP_ONLY, ONE_SLOT),
    Row("no-revert", WARNING, app(), 0, APP_ONLY, LOADING),
    # What stays is the firmware loader, which the bench signs as version 7.
    Row("replaced-encrypted", ERROR, app(encrypted=True), 3, ("7.0.0", "1.0.0"), LOADING),
    Row("replaced-encrypted", WARNING, app(encrypted=True), 3, (None, None), ONE_SLOT),
)
