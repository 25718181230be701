"""The whole job in one call, for programs; ``smpdfu update`` does the same with words."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from smpdfu.connect import client_for, parse_address
from smpdfu.dfu.findings import Finding
from smpdfu.dfu.health import Health, echoes
from smpdfu.dfu.journal import Journal, journal_path
from smpdfu.dfu.package import Package
from smpdfu.dfu.run import AS_USUAL, Event, StepDone, Update, Wish
from smpdfu.dfu.state import DeviceState
from smpdfu.dfu.steps import DEADLINES, Deadlines


@dataclass(frozen=True, slots=True)
class Installed:
    """An update that ended well.

    ``changed``: False if the device had the package already. ``proven``: False where SMP cannot tell whether the
    network core took its image. ``state`` is what the device says now, ``findings`` what was found before.
    """

    changed: bool
    proven: bool
    state: DeviceState
    findings: tuple[Finding, ...]


async def install(
    address: str,
    package: Package | Path | str,
    *,
    wish: Wish = AS_USUAL,
    health: Health = echoes,
    deadlines: Deadlines = DEADLINES,
    watch: Callable[[Event], None] | None = None,
) -> Installed:
    """Bring a package onto the device at ``address``, both cores in the right order, checked at every step.

    Made again after any interruption, it goes on where the device stands. ``watch`` is called with every event.
    Raises PackageError, ConnectError, PlanError when preflight speaks against it (nothing was written), RevertedError
    when the device runs its previous firmware, StepError, DeviceError, LinkError or JournalError.
    """
    whole = package if isinstance(package, Package) else Package.load(package)
    place = str(parse_address(address))
    async with client_for(place) as client:
        with Journal(journal_path(place)) as journal:
            update = Update(client, whole, journal, wish=wish, deadlines=deadlines, health=health)
            decision = await update.look()
            state, proven = decision.state, decision.net_done_at is None
            async with aclosing(update.run(decision)) as events:
                async for event in events:
                    if isinstance(event, StepDone):
                        state, proven = event.state, proven and event.proven
                    if watch is not None:
                        watch(event)
    return Installed(bool(decision.plan.steps), proven, state, decision.findings)
