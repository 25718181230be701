"""What the journal of an update that ended says of the network core. Pure."""

from __future__ import annotations

from dataclasses import replace

from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.evidence import Proof, ProofSource
from smpdfu.dfu.decide.record import Record


def proof_by_journal(record: Record, state: DeviceState) -> Proof:
    """What an update that ended has noted of the network core; older tools noted nothing.

    It proves something of the same chip only: another board may run the same application.
    """
    known = None if record.proof is None else Proof.from_entry(record.proof)
    if known is None:
        return Proof(
            None,
            "The journal of an earlier update says that the network core was updated, but not how smpdfu knew that.",
        )
    if known.value is not True or (record.hardware is not None and record.hardware == state.hardware):
        return replace(known, source=ProofSource.JOURNAL)
    text = f"An earlier update at this address noted: {known.reason}"
    return Proof(None, text, doubt=_PERHAPS_ANOTHER, code="another-board")


_PERHAPS_ANOTHER = (
    "No chip number shows that this is the board of that update; this may be another board. Check the radio, or update "
    "the network core once more."
)
