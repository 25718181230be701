"""A program for boards with the bootloader of the nRF5 SDK, with the public names for it."""

from __future__ import annotations

from pathlib import Path

from smpdfu import (
    AdvisedError,
    CameBack,
    DamagedLineError,
    DfuNotStartedError,
    DfuRefusedError,
    DfuUnfinishedError,
    InconsistentBootloaderError,
    MadeSecureDfuPackage,
    Nrf52Firmware,
    PlanError,
    SecureDfuError,
    SecureDfuEvent,
    SecureDfuJudgement,
    SecureDfuOrder,
    SecureDfuPackage,
    SecureDfuPartBegins,
    SecureDfuPartSkipped,
    SecureDfuProgress,
    SecureDfuRestarts,
    SentSecureDfuPackage,
    SentSecureDfuPart,
    SilentBootloaderError,
    ValidationType,
    judge_secure_dfu_package,
    load_private,
    make_secure_dfu_package,
    read_secure_dfu_package,
    send_secure_dfu,
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


def show(event: SecureDfuEvent) -> None:
    """Print what happens while a package is sent."""
    if isinstance(event, SecureDfuPartBegins):
        print(f"{event.image}: part {event.number} of {event.parts}, {event.size_bytes} bytes")
    elif isinstance(event, SecureDfuProgress):
        print(event.progress.off, "of", event.progress.len, "repeats:", event.progress.repeats)
    elif isinstance(event, SecureDfuPartSkipped):
        print(event.image, "is there already")
    elif isinstance(event, SecureDfuRestarts):
        print(f"{event.image}: the device restarts, at most {event.within_s:g} s")


async def send(address: str, package: Path) -> bool:
    """Send a package; return whether the application is known to run."""
    try:
        sent: SentSecureDfuPackage = await send_secure_dfu(address, package, watch=show)
    except (DamagedLineError, InconsistentBootloaderError, SilentBootloaderError) as error:
        print(f"the line: {error}. {error.off} of {error.total} bytes are there. {error.advice}")
        return False
    except DfuRefusedError as error:
        print(f"refused ({error.name}): {error}. {error.advice}")
        return False
    except (DfuNotStartedError, DfuUnfinishedError) as error:
        print(f"not done: {error}. {next_step(error)}")
        return False
    parts: tuple[SentSecureDfuPart, ...] = sent.parts
    print(*(f"{one.image}: {one.seconds:.1f} s" for one in parts), sep="\n")
    return sent.came_back is CameBack.APPLICATION


def next_step(error: SecureDfuError | AdvisedError) -> str:
    """What a person can do."""
    return error.advice
