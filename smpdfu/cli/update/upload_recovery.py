"""What ``upload --recovery`` prints: one image by MCUboot's serial recovery."""

from __future__ import annotations

from typing import Any

from smpdfu.cli.terminal.show import Output, facts
from smpdfu.dfu.decide.serial_recovery import KEEP_POWER
from smpdfu.dfu.do.replacing.serial_recovery import RecoveredImage

_PLACES = {
    0: "the application's slot",
    1: "the application's slot",
    2: "the application's secondary slot",
    3: "the network core",
}


def show_recovered(done: RecoveredImage, out: Output) -> None:
    """Print what was sent, and what to type next."""
    image, sent = done.image, done.sent
    answer = {
        "file": image.file,
        "image": done.number,
        "version": str(image.image.header.version),
        "hash": image.hash,
        "bytes": sent.len,
        "seconds": round(sent.seconds, 3),
        "retries": sent.retries,
        "verified": done.verified,
        "recovery": True,
    }
    out.emit(answer, lambda: facts(_told(answer, _now(done))))


def _now(done: RecoveredImage) -> str:
    now = "written; `smpdfu reset` starts it"
    if done.of_network_core:
        now = f"sent; {KEEP_POWER}, then `smpdfu reset` starts it"
    return now if done.verified else f"{now}. The bootloader does not report whether it accepted the image"


def _told(answer: dict[str, Any], now: str) -> list[tuple[str, object]]:
    return [
        ("image", f"{answer['file']}, version {answer['version']}"),
        ("hash", answer["hash"]),
        ("sent", f"{answer['bytes']} bytes in {answer['seconds']:.1f} s"),
        ("to", f"image {answer['image']} of serial recovery: {_PLACES.get(answer['image'], 'a slot of its own')}"),
        ("now", now),
    ]
