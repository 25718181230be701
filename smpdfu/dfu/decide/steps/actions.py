"""What a step does, and how far an update goes. They stand apart because every reader of a journal needs them."""

from __future__ import annotations

from enum import StrEnum


class Action(StrEnum):
    """What a step does."""

    UPLOAD = "upload"
    TEST = "test"
    KEEP = "keep"
    RESET = "reset"
    CHECK = "check"
    CONFIRM = "confirm"
    ENTER_LOADER = "enter-loader"
    ENTER_RECOVERY = "enter-recovery"


class Policy(StrEnum):
    """How far an update goes.

    TEST_AND_CONFIRM: on trial first, where the device can go back. CONFIRM_ONLY: permanent at once. UPLOAD_ONLY: the
    images are sent, and what boots does not change.
    """

    TEST_AND_CONFIRM = "test-and-confirm"
    CONFIRM_ONLY = "confirm-only"
    UPLOAD_ONLY = "upload-only"
