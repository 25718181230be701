"""``upload --recovery``: one image by MCUboot's serial recovery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smpdfu.cli.terminal.interruption import PART_OF_APPLICATION, leaves
from smpdfu.cli.terminal.show import Output, facts, upload_phase
from smpdfu.errors import DeviceError, ImageError

if TYPE_CHECKING:
    from smpdfu.client import Client, UploadResult
    from smpdfu.dfu.decide.device_state import DeviceState
    from smpdfu.dfu.package.package import CoreImage

_PLACES = {
    0: "the application's slot",
    1: "the application's slot",
    2: "the application's secondary slot",
    3: "the network core",
}


async def upload_in_recovery(
    client: Client, image: CoreImage, state: DeviceState, asked: int | None, out: Output, *, force: bool
) -> None:
    """Send ``image`` and see whether the bootloader lists it. Raises PlanError, ImageError or what ``upload`` does."""
    from smpdfu.dfu.decide.serial_recovery import KEEP_POWER, NETWORK, has_direct_upload, recovery_number

    number = recovery_number(image, asked, direct=has_direct_upload(state.sizes), force=force)
    if number == NETWORK:
        out.say(f"the bootloader copies the image to the network core at the end: {KEEP_POWER} after that")
    result = await _send(client, image, number, out)
    accepted = None if number == NETWORK else await _lists(client, image)
    if accepted is False:
        raise ImageError(
            f"the bootloader has {image.file} and does not accept it (another key, or not for this device): it stays "
            "in recovery until it gets an image that it takes"
        )
    answer = {
        "file": image.file,
        "image": number,
        "version": str(image.image.header.version),
        "hash": image.hash,
        "bytes": result.len,
        "seconds": round(result.seconds, 3),
        "retries": result.retries,
        "verified": bool(accepted or result.match),
        "recovery": True,
    }
    out.emit(answer, lambda: facts(_told(answer)))


async def _send(client: Client, image: CoreImage, number: int, out: Output) -> UploadResult:
    from smpdfu.dfu.decide.serial_recovery import no_such_number

    sent = 0
    with leaves(PART_OF_APPLICATION), out.progress(image.file) as advance:

        def report(now: Any) -> None:
            nonlocal sent
            sent = max(sent, now.off)
            advance(now.off, now.len, upload_phase(now.off))

        try:
            return await client.upload(image.data, number, progress=report, compare=False, names_image=True)
        except DeviceError as error:
            if sent:
                raise
            raise no_such_number(image, number, error) from None


def _told(answer: dict[str, Any]) -> list[tuple[str, object]]:
    from smpdfu.dfu.decide.serial_recovery import KEEP_POWER, NETWORK

    now = "written; `smpdfu reset` starts it"
    if answer["image"] == NETWORK:
        now = f"sent; {KEEP_POWER}, then `smpdfu reset` starts it"
    if not answer["verified"]:
        now += ". Recovery does not tell whether it was accepted"
    return [
        ("image", f"{answer['file']}, version {answer['version']}"),
        ("hash", answer["hash"]),
        ("sent", f"{answer['bytes']} bytes in {answer['seconds']:.1f} s"),
        ("to", f"image {answer['image']} of serial recovery: {_PLACES.get(answer['image'], 'a slot of its own')}"),
        ("now", now),
    ]


async def _lists(client: Client, image: CoreImage) -> bool | None:
    """Does the bootloader list ``image``? It lists what it accepts; None where it tells no hashes."""
    from smpdfu.smp.groups.image import StateRead

    slots = (await client.request(StateRead())).images
    if any(slot.hash is None for slot in slots) or image.hash is None:
        return None
    return any(slot.hash == image.hash for slot in slots)
