"""What an update notes of its images, so that it is known later which devices run an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.steps.rules import UPLOADS_RUN, Method, Policy
from smpdfu.dfu.do.steps import hash_of
from smpdfu.dfu.package.image_record import ImageRecord
from smpdfu.dfu.package.images import PackageImage


def facts_of(images: Sequence[PackageImage], state: DeviceState, method: Method, policy: Policy) -> dict[str, Any]:
    """Return the facts for the first line of an update in the journal."""
    return {
        "images": image_entries(images),
        "policy": policy,
        "uploads_run": method in UPLOADS_RUN,
        "runs": running_hash(state),
    }


def image_entries(images: Sequence[PackageImage]) -> list[dict[str, Any]]:
    """Return the images of a package as a log or a journal has them."""
    return [ImageRecord.of(image).to_entry() for image in images]


def running_hash(state: DeviceState | None) -> str | None:
    """Return the hash of the application that the device lists as running, in hex; None if it lists none."""
    found = None if state is None else hash_of(state)
    return None if found is None else found.hex()
