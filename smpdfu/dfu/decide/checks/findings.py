"""What preflight has to say: one finding a fact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from smpdfu.dfu.package.images import Core
from smpdfu.errors import PlanError
from smpdfu.image.verification.verdict import Code


class Severity(StrEnum):
    """ERROR: the update would fail or harm. WARNING: it may. NOTE: good to know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact about this package on this device. ``code`` is stable, ``message`` one sentence, ``advice`` what to do.

    ``core`` is the core whose image it is about; None where it is about the device. ``source`` is the document that
    proves the fact. ``facts`` are the values by which a program can say how to follow the advice with its own commands,
    as ``cli/app/advice_by_code.py`` does.
    """

    code: str
    severity: Severity
    message: str
    advice: str = ""
    core: Core | None = None
    facts: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def source(self) -> str:
        """Design document, source file or standard; empty where the finding is plain arithmetic."""
        return SOURCES.get(self.code, "")

    @property
    def words(self) -> str:
        """For people: what it is, and what to do."""
        return f"{self.message}. {self.advice}" if self.advice else self.message


_SWAP = "MCUboot, docs/design.md, Image swapping"
_LOADER = "MCUboot, boot/bootutil/src/loader.c"
_NRF_LOADER = "nrfconnect/sdk-mcuboot, boot/bootutil/src/loader.c"
_IMG_MGMT = "Zephyr, subsys/mgmt/mcumgr/grp/img_mgmt"
_QSPI_XIP = "nRF Connect SDK, Using QSPI XIP split image"
_B0 = "nrfconnect/sdk-nrf, samples/bootloader/src/main.c"
_NRF53 = "nRF Connect SDK, Simultaneous multi-image DFU on the nRF5340"

# Where the facts stand. Codes that are not here come from ``image/verification/verify.py``, which judges as the
# bootloader does.
SOURCES = {
    "recovery": "MCUboot, docs/serial_recovery.md",
    "no-running-image": _IMG_MGMT,
    "not-higher": "MCUboot, docs/design.md, Direct XIP, RAM loading",
    "slot-unknown": "MCUboot, docs/design.md, Direct XIP",
    "wrong-slot": "MCUboot, docs/design.md, Direct XIP",
    "no-image-pair": _IMG_MGMT,
    "image-number": "nRF Connect SDK, cmake/sysbuild/zip.cmake",
    "half-alone": _QSPI_XIP,
    "pair-unused": _QSPI_XIP,
    "pair-taken": _QSPI_XIP,
    "confirm-denied": _IMG_MGMT,
    "no-ram-address": "MCUboot, docs/design.md, RAM loading",
    "half-erased": "nrfconnect/sdk-mcuboot, MCUBOOT_VERIFY_IMG_ADDRESS",
    "no-steps": "nRF Connect SDK, cmake/sysbuild/zip.cmake",
    "nothing-to-install": "nRF Connect SDK, cmake/sysbuild/zip.cmake",
    "mcuboot-no-way-back": _B0,
    "mcuboot-info": _B0,
    "mcuboot-offset": _NRF_LOADER,
    "mcuboot-address": "nrfconnect/sdk-mcuboot, loader.c, MCUBOOT_IS_SECOND_STAGE",
    "mcuboot-version": _B0,
    "b0-slot-differs": "nrfconnect/sdk-mcuboot, loader.c, MCUBOOT_IS_SECOND_STAGE",
    "active-slot": "zephyrproject-rtos/zephyr, issue 99762",
    "recovery-wire": "MCUboot, docs/serial_recovery.md",
    "recovery-number": "MCUboot, docs/serial_recovery.md",
    "recovery-net": "nrfconnect/sdk-nrf, NCSDK-11308",
    "loader-name": "nRF Connect SDK, samples/dfu/fw_loader/ble_mcumgr",
    "replaced-encrypted": "nrfconnect/sdk-mcuboot, firmware_loader.c, single_loader.c, boot_serial.c",
    "scheme": _NRF53,
    "scheme-unknown": _NRF53,
    "simultaneous-revert": _NRF53,
    "simultaneous-mode": _NRF53,
    "one-core": _NRF53,
    "marked-first": "nrfconnect/sdk-nrf, NCSDK-34106",
    "not-tied": "MCUboot, docs/design.md, Dependency check",
    "no-revert": "MCUboot, docs/design.md, Overwrite only",
    "revert-unknown": "Zephyr, SMP OS management, Bootloader information",
    "unconfirmed": _IMG_MGMT,
    "pending": _IMG_MGMT,
    "net-no-revert": "nrfconnect/sdk-nrf, subsys/pcd",
    "net-key": _NRF_LOADER,
    "net-encrypted": _NRF_LOADER,
    "app-encrypted": _NRF_LOADER,
    "net-offset": _NRF_LOADER,
    "net-erased": _NRF_LOADER,
    "net-upstream": _LOADER,
    "net-elsewhere": _NRF_LOADER,
    "net-downgrade": _NRF_LOADER,
    "net-count": "nrfconnect/sdk-nrf, subsys/pcd, pcd_version_cmp_net",
    "net-unproven": _NRF_LOADER,
    "class": "nrfconnect/sdk-mcuboot, boot_validated_swap_type, MCUBOOT_UUID_CID",
    "address": "nrfconnect/sdk-mcuboot, MCUBOOT_CHECK_HEADER_LOAD_ADDRESS",
    "contradiction": "smpdfu, docs/reference/findings.md",
    "dependency-halts": "nrfconnect/sdk-mcuboot, boot_verify_slot_dependency",
    "net-seal": "nRF Connect SDK, subsys/bootloader/bl_validation",
    "seal": "nRF Connect SDK, subsys/bootloader/bl_validation",
    "net-seal-key": "nRF Connect SDK, subsys/bootloader/bl_validation",
    "dependency": "MCUboot, docs/design.md, Dependency check; nrfconnect/sdk-mcuboot, boot_verify_dependencies",
    "key-changed": _LOADER,
    "security-counter": "MCUboot, docs/design.md, Hardware-based downgrade prevention",
    "downgrade": "MCUboot, docs/design.md, Downgrade prevention",
    "not-signed": _LOADER,
    "wrong-core": _NRF_LOADER,
    "linked-elsewhere": _NRF_LOADER,
    "encrypted": "MCUboot, docs/encrypted_images.md",
    "clear": "MCUboot, docs/encrypted_images.md",
    "padded": _SWAP,
    "too-large": _SWAP,
    "wrong-board": "dfu_application.zip, manifest.json",
}


# What no ``--force`` gets past: there is no way to go on, or the wrong firmware would be overwritten.
FINAL = frozenset(
    {"recovery", "recovery-wire", "recovery-number", "image-number", "nothing-to-install", "untrusted", Code.NO_HASH}
)


def stopping(findings: Iterable[Finding], *, force: bool) -> tuple[Finding, ...]:
    """The findings that speak against going on."""
    errors = (finding for finding in findings if finding.severity is Severity.ERROR)
    return tuple(finding for finding in errors if not force or finding.code in FINAL)


def refusal(errors: Sequence[Finding]) -> PlanError:
    """The error for findings that speak against it; at least one."""
    first, *others = errors
    also = "".join(f"; and {finding.message}" for finding in others)
    error = PlanError(
        f"{first.message}{also}; nothing was written. {first.advice}".rstrip(),
        tuple(finding.message for finding in errors),
        tuple(finding.code for finding in errors),
    )
    return error.because(first.code, **first.facts)


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors, then warnings, then notes."""
    order = list(Severity)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))
