"""The command or the option that follows the advice of the library: by the code of a finding, an error or a doubt.

The library says what to do and knows no command line. A row of ``BY_CODE`` says with which command. It is a text with
``{name}`` for a fact, or a function of the facts. A code without a row needs no command.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from shlex import quote
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smpdfu.dfu.decide.after_reset import Outcome
    from smpdfu.dfu.decide.checks.findings import Finding
    from smpdfu.dfu.decide.proof_value import Proof
    from smpdfu.dfu.do.one_image import InstalledImage
    from smpdfu.dfu.package.making import PackageWarning
    from smpdfu.errors import SmpdfuError
    from smpdfu.image.verification.verdict import Finding as ImageFinding

Facts = Mapping[str, str]

_ONLY_APP = "Use --only app."
_ERASE = "`smpdfu erase` erases the slot."
_SAY = {
    "release": "Example: --ncs 3.4.1 --partitions pm (or dts).",
    "partitions": "Use --partitions pm or --partitions dts.",
}
_UNREADABLE = {
    "protected": "Leave --tie, --dependencies and --security-counter out.",
    "encrypted": "Leave -E out.",
}


def _unknown(facts: Facts) -> str:
    return _SAY.get(facts.get("unknown", ""), "")


def _address(facts: Facts) -> str:
    return f"`smpdfu package` does that, and so does `smpdfu sign --slot-address`. {_unknown(facts)}".rstrip()


def _net_elsewhere(facts: Facts) -> str:
    return f"Use --net-address {facts.get('address', 'ADDRESS')}."


def _net_unproven(facts: Facts) -> str:
    release = ", --ncs gives the release" if "release" in facts else ""
    return f"--net-version-from asks the application{release}."


def _seal(facts: Facts) -> str:
    options = {"b0n": "--net-key", "b0": "--b0-key"}
    unchecked = options.get(facts.get("unchecked", ""))
    return "" if unchecked is None else f"{unchecked} KEY checks it before the upload."


def _needed_version(facts: Facts) -> str:
    if "version" in facts:
        return f"`smpdfu sign --version {facts['version']}` sets the version."
    return "`smpdfu inspect` shows the dependencies of an image."


def _another_slot(facts: Facts) -> str:
    return f"Use --{facts['core']}-address {facts['address']} and --{facts['core']}-slot-size."


_SECURE_DFU_PACKAGE = "`smpdfu secure-dfu package --application FILE` makes a package of firmware."
_OTHER_WORLD = {
    "DFU_APPLICATION_ZIP": "`smpdfu update {file}` installs it.",
    "DFU_MULTI_IMAGE": "`smpdfu update {file}` installs it.",
    "MCUBOOT_IMAGE": "`smpdfu upload {file} --confirm` installs it.",
    "INTEL_HEX": _SECURE_DFU_PACKAGE,
    "RAW_FIRMWARE": _SECURE_DFU_PACKAGE,
}


def _instead_of_secure_dfu(facts: Facts) -> str:
    text = _OTHER_WORLD.get(facts["kind"], "`smpdfu inspect {file}` shows what it is.")
    return text.format(file=quote(facts["file"]))


Row = str | Callable[[Facts], str]

# Codes of findings first, in the order of docs/reference/findings.md; then those of errors and of doubts.
BY_CODE: Mapping[str, Row] = {
    "secure-dfu-device": "`smpdfu virtual run` serves it at a port, and `smpdfu secure-dfu send` updates it there.",
    "recovery": "`smpdfu reset` restarts it, --recovery updates it in serial recovery.",
    "secret-variable": "Export {name}, or correct the name that you gave, such as --password-env NAME.",
    "recovery-wire": "Use --loader-to serial:/dev/ttyACM0.",
    "recovery-number": _ONLY_APP,
    "loader-name": "Use --loader-to ble:NAME.",
    "no-running-image": "`smpdfu list` shows what the device says.",
    "replaced-encrypted": "Use `smpdfu sign` without -E.",
    "scheme": "Leave --scheme out.",
    "scheme-unknown": "Use --scheme simultaneous or --scheme staged.",
    "not-tied": "`smpdfu package --tie` adds that dependency.",
    "unconfirmed": "Use `smpdfu confirm` or `smpdfu reset`.",
    "pending": f"`smpdfu reset` restarts the device. {_ERASE}",
    "dependency-halts": _needed_version,
    "security-counter": "`smpdfu sign --security-counter` sets the counter; --force forces the update.",
    "downgrade": lambda facts: "Use --allow-downgrade." if "refused" in facts else "",
    "not-signed": "`smpdfu sign -k KEY` does that.",
    "seal": _seal,
    "net-seal-key": "--net-key KEY checks it before the upload.",
    "net-encrypted": "Use `smpdfu sign` without -E.",
    "app-encrypted": _unknown,
    "net-offset": _ONLY_APP,
    "net-erased": lambda facts: _unknown(facts) or _ONLY_APP,
    "class": lambda facts: "`smpdfu sign --cid` does that." if "class" in facts else "",
    "net-upstream": _ONLY_APP,
    "net-elsewhere": _net_elsewhere,
    "net-downgrade": _needed_version,
    "net-count": lambda facts: _UNREADABLE.get(facts.get("unreadable", ""), ""),
    "net-unproven": _net_unproven,
    "address": _address,
    "contradiction": "The options are --ncs and --partitions.",
    "padded": lambda facts: "Leave --pad, --test and --confirm out." if "trailer" in facts else "",
    "no-steps": lambda facts: _ONLY_APP if "mcuboot" in facts else "",
    "b0-slot-unknown": "Use --active-b0-slot 0 or --active-b0-slot 1.",
    "b0-slot-differs": "Without --active-b0-slot, the device's answer counts.",
    "mcuboot-variant": "Without MCUboot: --only app.",
    "mcuboot-version": lambda facts: "Use --force." if "known" in facts else "",
    "which-image": lambda facts: f"Use {' or '.join(f'-n {number}' for number in facts['numbers'].split())}.",
    "mcuboot-alone": "`smpdfu update dfu_mcuboot.zip` does that; --force sends this file all the same.",
    "perhaps-mcuboot": "`smpdfu os bootloader` shows MCUboot's active slot.",
    "no-test": "Use `smpdfu upload FILE --confirm`.",
    "one-slot": "Use --only app, --only net or --only mcuboot.",
    "no-direct-upload": "Leave -n out.",
    "no-direct-upload-net": "`smpdfu update` does that.",
    "recovery-not-asked": "Use --recovery or `smpdfu reset`.",
    "not-in-recovery": "Leave --recovery out, or start recovery with `smpdfu reset --boot-mode 1` in builds that know "
    "boot modes.",
    "upload-replaces": "Leave --upload-only out.",
    "start-loader": "`smpdfu update PACKAGE` does all of that, `smpdfu reset --boot-mode 1` starts the loader.",
    "start-recovery": "`smpdfu update PACKAGE` does all of that, `smpdfu reset --boot-mode 1` starts recovery, "
    "`smpdfu upload FILE --recovery` uploads there.",
    "slot-not-free": f"{_ERASE} `smpdfu inspect FILE` shows the key and the address of an image.",
    "no-ram-address": "`smpdfu sign --load-addr ADDRESS` does that.",
    "confirm-denied": "`smpdfu list` shows which images are confirmed.",
    "half-alone": "`smpdfu update PACKAGE` does that, or `smpdfu upload FILE -n N --test` for each half, then a reset.",
    "fallback-of-trial": "`smpdfu reset` brings it back.",
    "restart-changes": "`smpdfu list` shows it.",
    "no-such-image": "`smpdfu list` shows what it has.",
    "went-elsewhere": "`smpdfu list` shows what runs, `smpdfu reset` ends a trial.",
    "journal-too-large": "`smpdfu update` with --new-journal sets the journal aside and begins a new one.",
    "tie": "`smpdfu package --tie` adds that dependency.",
    "parts-far-apart": "`smpdfu package --merged` takes a merged hex of both cores apart.",
    "release-without-key": "Give a key with -k.",
    "one-image": lambda facts: f"Install it with `smpdfu upload {quote(facts['file'])} --confirm`.",
    "another-slot": _another_slot,
    "loader-unknown": "--ncs gives the release.",
    "another-board": "Use --again.",
    "which-mode": "Use --mode.",
    "seal-where": "Give it with --address.",
    "seal-key-type": "`smpdfu key gen -t ecdsa-p256` makes such a key.",
    "provision-where": "Give the provision address with --address: PM_PROVISION_ADDRESS of the core in the build.",
    "provision-no-key": "Give the key that signs with -k.",
    "build-one-image": lambda facts: f"Use `smpdfu package {quote(facts['folder'])}`.",
    "build-not-signed": "Give the key with -k: then smpdfu signs the images of the build.",
    "build-no-firmware": "`west build` makes it. Without -k, smpdfu packs the images that the build has signed.",
    "build-key-type": "`smpdfu key info -k KEY` shows the type of a key.",
    "build-needs-encryption": "Give the public half of the device's key with -E.",
    "build-no-encryption": "Leave -E out.",
    "build-encryption-type": "`smpdfu key info -k KEY` shows the type of a key.",
    "net-unsealed": "--nsib-key seals it.",
    "mcuboot-unsealed": "--nsib-key seals it.",
    "nsib-debug-key": "--nsib-key seals it again with the key of the release.",
    "seal-what": "Leave --nsib-key out.",
    "signed-already": "Give the firmware, and the key with -k.",
    "secure-dfu-refused": "--force writes the package all the same.",
    "secure-dfu-key-type": "`smpdfu key gen -t ecdsa-p256` makes such a key.",
    "boot-validation-without-key": "Give the key with -k.",
    "secure-dfu-package": lambda facts: f"`smpdfu secure-dfu send {quote(facts['file'])}` sends it to such a board.",
    "not-secure-dfu": _instead_of_secure_dfu,
    "dfu-damaged-line": "`smpdfu doctor` shows whether a J-Link has its disk on.",
    "dfu-no-bootloader": "--no-flow-control sends without RTS and CTS. `smpdfu doctor` checks the port.",
    "dfu-fw-version": "`smpdfu secure-dfu show PACKAGE` shows the version in the package.",
    "dfu-hw-version": "`smpdfu secure-dfu show PACKAGE` shows the hardware version in the package.",
    "dfu-sd-version": "`smpdfu secure-dfu show PACKAGE` shows what it asks for; --sd-req sets it.",
    "dfu-signature": "`smpdfu secure-dfu show PACKAGE -k KEY` checks whether it is signed by a key.",
    "dfu-unsigned": "`smpdfu secure-dfu package -k KEY` signs it.",
    "build-other-chip": "`smpdfu package` works for this build; `smpdfu update` needs a real board of its kind.",
}


def _signature_form(facts: Facts) -> str:
    made = "`smpdfu sign --pad-sig` pads it, " if facts["form"] == "padded" else ""
    return f"{made}--backend names the backend"


_KEY_FORMAT = {"KEYHASH": "--hw-key", "PUBKEY": "`smpdfu sign --public-key-format full`"}

# By the code of what ``verify`` says of an image: some words to put in brackets.
BY_VERDICT: Mapping[str, Callable[[Facts], str]] = {
    "security-counter": lambda facts: "`smpdfu sign -s NUMBER`" if "counter" in facts else "",
    "load-address": lambda facts: f"`smpdfu sign --slot-address {facts['address']}`" if "address" in facts else "",
    "no-load-address": lambda facts: f"`smpdfu sign --slot-address {facts['address']}`" if "address" in facts else "",
    "signature-form": lambda facts: _signature_form(facts) if "form" in facts else "",
    "key-format": lambda facts: _KEY_FORMAT.get(facts.get("wanted", ""), ""),
    "decompression": lambda facts: "`smpdfu sign --pad-header`" if "header" in facts else "",
}


def verdict_words(finding: ImageFinding) -> str:
    """What ``verify`` says of an image, and the option for it in brackets."""
    row = BY_VERDICT.get(finding.code)
    command = "" if row is None else row(finding.facts)
    return f"{finding.message} ({command})" if command else finding.message


# By the code of a warning of ``PackageWarning``: the sentence with our options in it.
PACKAGE_WARNINGS: Mapping[str, str] = {
    "tie-one-pair": "--tie works only if each core has its own pair of slots. With one pair, bootloaders check no "
    "dependency, and --tie has no effect",
    "tie-always-met": "--tie has no effect: every application has at least version 0.0.0",
    "unsigned": "the image is not signed (-k): only a bootloader that checks no signature takes it",
}


# What is added to a warning: the option for it.
PACKAGE_HINTS: Mapping[str, str] = {
    "net-unsealed": "--nsib-key seals it",
    "nsib-debug-key": "--nsib-key seals it again with the key of the release",
    "mcuboot-left-out": "--nsib-key seals MCUboot, -k signs it",
}


def package_warning_words(warning: PackageWarning) -> str:
    """What is to be said of a package that was made, with the core that it is about."""
    said = PACKAGE_WARNINGS.get(warning.code, warning.message)
    hint = PACKAGE_HINTS.get(warning.code)
    said = said if hint is None else f"{said}. {hint}"
    return said if warning.core is None else f"{warning.core.words}: {said}"


def by_code(code: str, facts: Facts) -> str:
    """The command or the option for a code; empty if none is needed."""
    row = BY_CODE.get(code, "")
    return row(facts) if callable(row) else row.format_map(facts)


def finding_advice(finding: Finding) -> str:
    """What to do about a finding: the library's advice, and our command for it."""
    return _joined(finding.advice, by_code(finding.code, finding.facts))


def finding_words(finding: Finding) -> str:
    """A finding for people: what it is, and what to do."""
    todo = finding_advice(finding)
    return f"{finding.message}. {todo}" if todo else finding.message


def error_advice(error: SmpdfuError) -> str:
    """Our command for an error that has a code; empty if it needs none."""
    return by_code(error.code, error.facts)


def proof_lines(proof: Proof) -> tuple[str, ...]:
    """What is known of the network core, a fact a line; with a doubt that has one, our command."""
    command = by_code(proof.code, {})
    if not command:
        return proof.lines
    *known, last = proof.lines
    return (*known, _joined(last, command))


def proof_entry(proof: Proof) -> dict[str, object]:
    """The same for ``--json``."""
    return proof.to_entry() | {"reason": " ".join(proof_lines(proof))}


def outcome_words(outcome: Outcome) -> str:
    """What a reset made of an image, and our command for what is left to do."""
    from smpdfu.dfu.decide.after_reset import Became  # here: each start imports this file, only a reset the room dfu

    if outcome.became is Became.TRIAL:
        return f"{outcome.words}. `smpdfu confirm` confirms it"
    return f"{outcome.words}. {_ERASE.rstrip('.')}" if outcome.waits else outcome.words


# By ``InstalledImage.next_step``.
NEXT_STEPS: Mapping[str, str] = {
    "reset-tries": "marked for a test; `smpdfu reset` starts it, `smpdfu confirm` keeps it",
    "reset-installs": "waits for the next boot; `smpdfu reset` installs it permanently",
    "reset-starts": "`smpdfu reset` starts it",
    "reset-starts-higher": "`smpdfu reset` starts it: the bootloader boots the higher version",
    "too-old": "the bootloader starts the highest version, which is {running}: this one does not run",
    "mark": "`smpdfu test` marks it for a test at the next boot",
    "install": "the same command with --test marks it for a test, with --confirm it installs the image permanently",
    "runs-already": "the device runs this image already",
}


def next_step_words(done: InstalledImage) -> str:
    """What to type for an image that was only sent or marked; empty if nothing is left to do."""
    if done.next_step is None:
        return ""
    running = "" if done.state.running is None else done.state.running.version
    return NEXT_STEPS[done.next_step].format(running=running)


def _joined(*parts: str) -> str:
    return " ".join(filter(None, parts))
