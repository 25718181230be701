"""The tree of commands: a table. A call imports its own branch only, which is where a start-up spends time.

``smpdfu --help`` needs the table alone and imports no command.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import NamedTuple

from smpdfu.cli.app.groups import Group

COMPLETE_VAR = "_SMPDFU_COMPLETE"
"""The variable by which a shell asks for completion; empty, it asks for nothing."""
COMPLETION_OPTIONS = ("--show-completion", "--install-completion")

UPDATE, RELEASE, DEVICE, HELP = "Update", "Release", "Device", "Help"


class Row(NamedTuple):
    """A command: its heading in ``--help``, its module in ``cli/`` with a ``register(app)``, its first sentence."""

    group: str
    module: str
    summary: str


COMMANDS: Mapping[str, Row] = {
    "scan": Row(UPDATE, "computer.commands", "List the devices in reach: serial ports, BLE and virtual devices."),
    "list": Row(UPDATE, "slots.list_command", "Show what is in the slots: version, hash and flags."),
    "update": Row(UPDATE, "update.update", "Update both cores from a package."),
    "upload": Row(UPDATE, "slots.commands", "Upload an image, and with --confirm install it."),
    "test": Row(UPDATE, "slots.commands", "Mark an image for a test at the next boot."),
    "confirm": Row(UPDATE, "slots.commands", "Confirm the running image, or make another one permanent."),
    "reset": Row(UPDATE, "slots.commands", "Restart the device, wait for it, and show what runs."),
    "fleet": Row(UPDATE, "fleet.commands", "Update many devices: waves, limits, journals, a report."),
    "agent": Row(UPDATE, "agent.commands", "Run a gateway for hawkBit: poll, install, report."),
    "affected": Row(
        UPDATE, "fleet.affected_command", "Show which devices run an image, by the logs and journals on this computer."
    ),
    "publish": Row(UPDATE, "agent.publish_command", "Publish a package in hawkBit."),
    "secure-dfu": Row(UPDATE, "securedfu.commands", "Make, show and send packages for the bootloader of the nRF5 SDK."),
    "package": Row(RELEASE, "image.pack.commands", "Make dfu_application.zip of a build folder, or of firmware files."),
    "sign": Row(RELEASE, "image.sign_command", "Sign an image and, with -E, encrypt it."),
    "seal": Row(RELEASE, "nsib.commands", "Put the seal of b0 or b0n behind a firmware."),
    "provision": Row(RELEASE, "nsib.commands", "Make and read the provisioning data of b0 and b0n."),
    "verify": Row(RELEASE, "image.verify_command", "Check whether a bootloader would accept an image."),
    "inspect": Row(
        RELEASE, "image.inspect_command", "Show what a file is, what is in it, and what you can do with it."
    ),
    "key": Row(RELEASE, "keys.commands", "Make keys, and write them in the form that a bootloader needs."),
    "info": Row(DEVICE, "slots.commands", "Show what the device reports about itself."),
    "erase": Row(DEVICE, "slots.commands", "Erase a slot; without options, the one that does not run."),
    "settings": Row(DEVICE, "device.settings", "Read and write the firmware's settings."),
    "fs": Row(DEVICE, "device.fs", "Upload, download and check files in the device's file systems."),
    "shell": Row(DEVICE, "device.shell", "Run a command of the device's shell and print its output."),
    "os": Row(DEVICE, "device.os", "Rare commands: echo, clock, threads, memory, raw requests."),
    "doctor": Row(HELP, "computer.commands", "Check this computer: ports, permissions, programs, Bluetooth."),
    "decode": Row(HELP, "computer.commands", "Show the SMP frames in a log, a recording or a hex dump."),
    "profiles": Row(HELP, "computer.commands", "List the profiles of smpdfu.toml, which -c NAME takes."),
    "virtual": Row(HELP, "virtual.commands", "Make, run and inspect virtual nRF5340 devices."),
    "tutorial": Row(HELP, "virtual.commands", "Learn the first commands on a virtual board."),
    "help": Row(HELP, "app.help_command", "Show the help of a command, of `connection`, or the man page."),
    "version": Row(HELP, "app.help_command", "Show the version of smpdfu, and of Python."),
}
"""The commands in the order of ``--help``."""

OLD_NAMES: Mapping[str, tuple[str, str]] = {
    "image": ("slots.commands", ""),
    "keygen": ("keys.commands", "key gen"),
    "getpub": ("keys.commands", "key pub"),
    "getpubhash": ("keys.commands", "key pubhash"),
    "getpriv": ("keys.commands", "key priv"),
    "keyinfo": ("keys.commands", "key info"),
    "echo": ("slots.commands", "os echo"),
    "taskstat": ("device.os", "os taskstat"),
    "mpstat": ("device.os", "os mpstat"),
    "bootloader": ("device.os", "os bootloader"),
    "params": ("device.os", "os params"),
    "datetime": ("device.os", "os datetime"),
    "stat": ("device.os", "os stat"),
    "enum": ("device.os", "os enum"),
    "storage": ("device.os", "os storage"),
    "transport": ("device.os", "os transport"),
    "raw": ("device.os", "os raw"),
}
"""Commands that ``--help`` does not list and that work all the same: their module, and the name that it lists instead.

They are promised to scripts. ``image ...`` has the image commands under mcumgr's words.
"""

OTHER_WORDS = ("flash", "program", "dfu", "install", "upgrade")
"""What other tools call an update."""

_MODULES: Mapping[str, str] = {name: row.module for name, row in COMMANDS.items()} | {
    name: module for name, (module, _) in OLD_NAMES.items()
}


def registered(wanted: str = "") -> Group:
    """The command ``wanted`` as its module declares it; empty: all commands."""
    root = Group(wanted=wanted)
    for module in dict.fromkeys(module for name, module in _MODULES.items() if root.takes(name)):
        import_module(f"smpdfu.cli.{module}").register(root)
    return root


def names() -> tuple[str, ...]:
    """All names of commands, in the order of the table."""
    return tuple(_MODULES)


def wanted_command(words: Sequence[str], environment: Mapping[str, str] = os.environ) -> str:
    """Which command ``words``, the arguments of ``smpdfu``, call; "" if none of ours: all that is needed is names."""
    if environment.get(COMPLETE_VAR):  # a shell asks what could follow the words of a line
        line = environment.get("COMP_WORDS") or environment.get("_TYPER_COMPLETE_ARGS") or ""
        words = line.split()[1:]
    first = next((word for word in words if not word.startswith("-")), "")
    return first if first in _MODULES else ""
