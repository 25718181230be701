"""The states of a transfer, and the rules between them.

    state     sent                         after its answer
    --------  ---------------------------  ------------------------------------------------------------------------
    HELLO     Ping with a new number       -> MTU. What was asked before is answered by then, or never
    MTU       GetMtu                       two answers that agree -> RECEIPTS
    RECEIPTS  SetReceipts                  -> SELECT
    SELECT    SelectObject                 the device has the first bytes of ours -> WRITE the rest of the object, or
                                           EXECUTE it where it is whole; else CREATE the object that differs
    CREATE    CreateObject                 -> WRITE; of an object that differed -> SELECT
    WRITE     the object, in writes        -> CHECK
    CHECK     GetChecksum                  offset and CRC as expected -> EXECUTE
    EXECUTE   Execute                      init packet -> SELECT of the firmware; firmware -> CREATE of the next object
    DONE      nothing                      after the last object

    Ahead        Where flow control keeps it, the first write goes out behind CREATE, and no request does. The device
                 handles both in order. If it refuses CREATE, it refuses the write, too, and SELECT finds the place.
                 Not with the short writes of a UART: its bootloader gets each byte in an interrupt, and while a page
                 is erased there is none. Never a second request: the bootloader has one buffer for answers, and may
                 lose the one that it has not sent yet
    Trouble      An answer that cannot be read, a wrong checksum, silence, a lost link -> HELLO, and SELECT finds out
                 where the device stands. ``Troubles`` decides when it is enough
    Care         After some troubles in a row: small writes, and CHECK after each of them
    Doubt        An answer of SELECT that costs something is believed when it comes twice
    Refusal      Believed when it comes twice, for one bit of a damaged answer may make one. The last Execute is an
                 exception: the device restarts after its answer, whatever that is
    Whole object The device does not say whether an object waits for its Execute, was executed, or is followed by an
                 empty one. Execute is right for the first, harmless for the second, and refused for the third
    No init      CREATE of firmware is not permitted: the device restarted and lost the init packet -> SELECT of that
    Last answer  If the answer to the last Execute is lost, the device restarts. Nothing is sent again, unless the
                 device answers and still waits for that Execute

Sources: nRF5 SDK 17, "DFU protocol"; the behaviour of nrf_dfu_req_handler.c, nrf_dfu_serial_usb.c (what arrives and
what is asked goes through one queue) and nrf_dfu_serial_uart.c.
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """See the table above."""

    HELLO = "hello"
    MTU = "mtu"
    RECEIPTS = "receipts"
    SELECT = "select"
    CREATE = "create"
    WRITE = "write"
    CHECK = "check"
    EXECUTE = "execute"
    DONE = "done"
