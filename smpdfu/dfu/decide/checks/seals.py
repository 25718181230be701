"""The seals of NSIB: b0n checks that of the network core's image, b0 that of MCUboot itself, behind MCUboot's check.

With the keys that a person says they trust, a seal is judged as they judge it. Without, only its hash is: no answer of
a device tells the keys.
"""

from __future__ import annotations

from collections.abc import Iterator

from smpdfu.dfu.decide.checks.findings import Finding, Severity
from smpdfu.dfu.decide.device_state import DeviceState, Scheme
from smpdfu.dfu.package.images import PackageImage
from smpdfu.dfu.package.seals import LOADERS
from smpdfu.image.nsib.firmware_info import FirmwareInfo
from smpdfu.image.nsib.seal import refusal as nsib_refusal
from smpdfu.image.nsib.sealed_by import KnownKey, SealState
from smpdfu.image.nsib.trusted_keys import CHECKS_KEYS, Nsib, NsibKeys, judge_seal, keys_of, revocation

Findings = Iterator[Finding]

SEAL, NET_SEAL = "seal", "net-seal"
SEALS = frozenset({SEAL, NET_SEAL})
"""The codes of findings on a seal."""
_WORDS = {Nsib.B0N: "b0n, the network core's bootloader,", Nsib.B0: "b0, the bootloader below MCUboot,"}
_ADVICE = {
    Nsib.B0N: "Pack the image that the build signed for both bootloaders (signed_by_mcuboot_and_b0_*.bin).",
    Nsib.B0: "Use the dfu_mcuboot.zip of the build.",
}
_RIGHT_KEY = "Seal it with the key that this device was provisioned for, or check which key that is."


def is_sealed(image: PackageImage, state: DeviceState) -> Findings:
    """What b0n or b0 will say of an image, as far as it can be known."""
    loader = LOADERS.get(image.role)
    if loader is None:
        return
    # MCUboot hands what b0n refuses over again at each boot. With a pair of its own, MCUboot stops there at every boot.
    stuck = loader is Nsib.B0N and state.scheme is Scheme.SIMULTANEOUS
    after = _after(loader, stuck=stuck)
    keys = keys_of(loader, state.nsib)
    if image.image.encrypted:
        if stuck:
            yield _trust_of_seal(image, after)
        return
    if keys:
        yield from _by_keys(image, loader, keys, after)
        return
    info = FirmwareInfo.find(image.image.payload)
    if info is None:
        if loader is Nsib.B0N:
            severity = Severity.WARNING if stuck else Severity.NOTE
            text = f"{image.file} has no seal for b0n, the network core's bootloader: if b0n checks seals, {after}"
            yield Finding(NET_SEAL, severity, text, _ADVICE[loader], image.core)
        return  # of MCUboot itself, ``mcuboot`` says it
    if (refused := _refused(image, loader, info, after)) is not None:
        yield refused
    elif stuck:
        yield _trust_of_seal(image, after)
    else:
        yield _not_checked(image, loader)


def seal_faults(image: PackageImage, nsib: NsibKeys) -> Findings:
    """An error for an image whose seal is not one of the known keys; nothing where no keys are known."""
    loader = LOADERS.get(image.role)
    if loader is not None and not image.image.encrypted and (keys := keys_of(loader, nsib)):
        found = _by_keys(image, loader, keys, _after(loader, stuck=False))
        yield from (one for one in found if one.severity is Severity.ERROR)


def _after(loader: Nsib, *, stuck: bool) -> str:
    """What follows where the image is refused."""
    if loader is Nsib.B0:
        return "b0 continues to start the previous MCUboot"
    return "the device would never start its application again" if stuck else "the network core keeps its firmware"


def _by_keys(image: PackageImage, loader: Nsib, keys: tuple[KnownKey, ...], after: str) -> Findings:
    by, fault = judge_seal(image.image.payload, keys, loader)
    info = FirmwareInfo.find(image.image.payload)
    is_there = info is not None and by.state is not SealState.NO_SEAL
    refused = _refused(image, loader, info, after) if info is not None and is_there else None
    if refused is not None:
        yield refused
    elif fault is not None:
        facts = {"state": str(fault.state), "loader": str(loader)}
        if loader is Nsib.B0N and fault.state is not SealState.NO_SEAL:
            after = f"if {loader} {CHECKS_KEYS}, {after}"
        yield Finding(SEAL, Severity.ERROR, f"{image.file}: {fault.message}: {after}", _RIGHT_KEY, image.core, facts)
    elif (revoked := revocation(by, len(keys), loader)) is not None:
        yield Finding(SEAL, Severity.NOTE, f"{image.file}: {revoked}", core=image.core, facts={"revokes": "keys"})


def _refused(image: PackageImage, loader: Nsib, info: FirmwareInfo, after: str) -> Finding | None:
    """Why the bootloader refuses the image whatever its keys are."""
    # Whether the place is this device's is another question, see ``loaders``.
    reason = nsib_refusal(image.image.payload, image.code_address or info.address, ())
    if reason is None:
        return None
    text = f'{_WORDS[loader]} refuses {image.file} ("{reason.rstrip(".")}"): {after}'
    code = NET_SEAL if loader is Nsib.B0N else SEAL
    return Finding(code, Severity.ERROR, text, _ADVICE[loader], image.core)


def _not_checked(image: PackageImage, loader: Nsib) -> Finding:
    condition = f"{CHECKS_KEYS} and does not" if loader is Nsib.B0N else "does not"
    text = (
        f"smpdfu did not check whether {loader} trusts the key that sealed {image.file}: if {loader} {condition}, it "
        "refuses the image after the upload"
    )
    advice = f"Give the public key that {loader} of this device was provisioned with."
    return Finding(SEAL, Severity.NOTE, text, advice, image.core, {"unchecked": str(loader)})


def _trust_of_seal(image: PackageImage, after: str) -> Finding:
    """No answer of a device tells the keys of its b0n."""
    return Finding(
        "net-seal-key",
        Severity.WARNING,
        f"only b0n, the network core's bootloader, knows whether it trusts the key that sealed {image.file}: if it "
        f"{CHECKS_KEYS} and does not have that key, {after}",
        "Make sure that this device's b0n was provisioned with the public key of that seal.",
        image.core,
    )
