"""What the journal of an update that ended says of the network core, and of MCUboot itself. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.proof_value import Proof, ProofSource
from smpdfu.dfu.decide.record import Record


def proof_by_journal(record: Record, state: DeviceState) -> Proof:
    """What an update that ended has noted of the network core; older tools noted nothing.

    It proves something of the same chip only: another board may run the same application.
    """
    return _proof(record.proof, "the network core", record, state)


def mcuboot_by_journal(record: Record, state: DeviceState) -> Proof:
    """The same of the MCUboot that it installed."""
    return _proof(record.mcuboot_proof, "MCUboot", record, state)


def _proof(noted: Mapping[str, Any] | None, what: str, record: Record, state: DeviceState) -> Proof:
    known = None if noted is None else Proof.from_entry(noted)
    if known is None:
        return Proof(
            None, f"The journal of an earlier update says that {what} was updated, but not how smpdfu knew that."
        )
    if known.value is not True or (record.hardware is not None and record.hardware == state.hardware):
        return replace(known, source=ProofSource.JOURNAL)
    text = f"An earlier update at this address noted: {known.reason}"
    return Proof(None, text, doubt=_PERHAPS_ANOTHER.format(_CHECKS[what]), code="another-board")


_PERHAPS_ANOTHER = "No chip number shows that this is the board of that update; this may be another board. {}"
_CHECKS = {
    "the network core": "Check the radio, or update the network core once more.",
    "MCUboot": "Read the console over a serial port.",
}
