"""A program for boards with the bootloader of the nRF5 SDK, with the public names for it."""

from __future__ import annotations

from pathlib import Path

from smpdfu import (
    MadeSecureDfuPackage,
    Nrf52Firmware,
    PlanError,
    SecureDfuJudgement,
    SecureDfuOrder,
    SecureDfuPackage,
    ValidationType,
    judge_secure_dfu_package,
    load_private,
    make_secure_dfu_package,
    read_secure_dfu_package,
)


def release(application: Path, key: Path, target: Path) -> MadeSecureDfuPackage | None:
    """Make a package of an application that runs on S140 7.2.0, and print why not."""
    order = SecureDfuOrder(
        hw_version=52,
        sd_req=(0x100,),
        application=Nrf52Firmware.read(application),
        application_version=7,
        app_boot_validation=ValidationType.VALIDATE_GENERATED_CRC,
        chip="nrf52840",
    )
    try:
        made = make_secure_dfu_package(order, load_private(key.read_bytes()))
    except PlanError as error:
        print(*error.findings, sep="\n")
        return None
    target.write_bytes(made.package.to_bytes())
    return made


def check(package: Path, key: Path) -> tuple[SecureDfuJudgement, ...]:
    """Check a package before it is sent."""
    found: SecureDfuPackage = read_secure_dfu_package(package)
    judged = judge_secure_dfu_package(found, [load_private(key.read_bytes())])
    for one in judged:
        print(one.entry.name, one.entry.size_bytes, *(finding.words for finding in one.findings))
    return judged
