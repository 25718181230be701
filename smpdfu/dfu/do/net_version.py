"""Which version the network core runs, where the application tells it: how to ask, and what the answer proves.

========================= ==============================================================================
rule                      the version is
========================= ==============================================================================
``settings:NAME``         the value of a setting (SMP group 3): text, or a number of 1, 2 or 4 bytes
``shell:COMMAND``         what a command of the device's shell prints (SMP group 9)
``fs:PATH``               what a file on the device holds (SMP group 8)
``command:LINE``          what a command on this computer prints; the device's address is in ``SMPDFU_TO``
========================= ==============================================================================

The first ``1.2.3`` or ``1.2.3+4`` in the answer counts, else the first whole number. ``1.2.3`` is compared with the
version in the image's MCUboot header and those in the manifest; a whole number with the firmware version that b0n
reads (``FirmwareInfo``), and with the manifest's.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from smpdfu.client import Client
from smpdfu.dfu.decide.proof_value import Proof, ProofSource
from smpdfu.dfu.do import health
from smpdfu.dfu.package.images import PackageImage
from smpdfu.errors import DeviceError, UpdateError
from smpdfu.image.format import Version
from smpdfu.image.nsib.firmware_info import FirmwareInfo
from smpdfu.smp.groups.fs import FileDownload
from smpdfu.smp.groups.settings import SettingsRead
from smpdfu.smp.groups.shell import ShellExecute
from smpdfu.untrusted.text import without_escapes

AskVersion = Callable[[Client], Awaitable[str]]
"""The application's answer, as text. Raises SmpdfuError."""

MAX_ANSWER = 4096
_DOTTED = re.compile(r"(?<![\w.])v?(\d{1,3}\.\d{1,3}\.\d{1,5}(?:[+.]\d{1,10})?)(?![\w.]*\d)")
_WHOLE = re.compile(r"(?<![\w.])(\d{1,10})(?![\w.])")
_UNSET = Version(0, 0, 0, 0)
"""The version that the SDK gives network images by default, so every release has it."""


class Way(StrEnum):
    """How to ask; see the table above."""

    SETTINGS = "settings"
    SHELL = "shell"
    FS = "fs"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class VersionRule:
    """``way`` of asking, and ``what`` is asked for: a name, a command or a path."""

    way: Way
    what: str

    @classmethod
    def from_text(cls, text: str) -> VersionRule:
        """``settings:net/version``. Raises ValueError with a sentence."""
        way, colon, what = text.partition(":")
        if not colon or way not in list(Way) or not what.strip():
            known = ", ".join(f"{one}:..." for one in Way)
            raise ValueError(f"{text!r} does not say how to ask for the network core's version: give one of {known}")
        return cls(Way(way), what.strip())

    def __str__(self) -> str:
        return f"{self.way}:{self.what}"

    def ask(self, address: str, *, timeout_s: float = 60.0) -> AskVersion:
        """The rule for the device at ``address``; ``timeout_s`` bounds a command on this computer."""
        match self.way:
            case Way.SETTINGS:
                return self._from_setting
            case Way.SHELL:
                return self._from_shell
            case Way.FS:
                return self._from_file
            case Way.COMMAND:
                return health.output_of(self.what, address, timeout_s=timeout_s, max_bytes=MAX_ANSWER)

    async def _from_setting(self, client: Client) -> str:
        value = (await client.request(SettingsRead(self.what))).val
        text = value.rstrip(b"\0").decode("ascii", "replace")
        if text.isprintable() and text and "\ufffd" not in text:
            return text
        return str(int.from_bytes(value, "little")) if len(value) in (1, 2, 4) else text

    async def _from_shell(self, client: Client) -> str:
        reply = await client.request(ShellExecute(tuple(self.what.split())), attempts=1)
        if reply.value:
            raise UpdateError(f"the device's command {self.what!r} returned {reply.value}")
        return reply.o[:MAX_ANSWER]

    async def _from_file(self, client: Client) -> str:
        return (await client.request(FileDownload(self.what))).data[:MAX_ANSWER].decode("ascii", "replace")


async def ask_or_none(ask: AskVersion | None, client: Client) -> str | None:
    """The version in the answer; None where nobody knows how to ask, or the application does not tell.

    Raises LinkError.
    """
    if ask is None:
        return None
    try:
        return version_in(await ask(client))
    except (DeviceError, UpdateError):
        return None


def version_in(answer: str) -> str | None:
    """The first version in a text: as MCUboot writes it, or as a whole number; None if there is none.

    Shells print in colours, whose numbers are none.
    """
    answer = without_escapes(answer)
    if (found := _DOTTED.search(answer)) is not None:
        try:
            return str(Version.from_text(found[1]))
        except ValueError:
            return None
    whole = _WHOLE.search(answer)
    return None if whole is None else str(int(whole[1]))


def versions_of(image: PackageImage) -> frozenset[str]:
    """The versions that a package gives its network image, as ``version_in`` writes them."""
    header = image.image.header.version
    info = FirmwareInfo.find(image.image.payload)
    told = [value for key, value in image.entry.items() if key == "version" or key.startswith("version_")]
    texts = [str(value) for value in told] + ([] if info is None or image.image.encrypted else [str(info.version)])
    found = {version_in(text) for text in [str(header), *texts]}
    return frozenset(one for one in found if one is not None and one != str(_UNSET))


def judge(image: PackageImage, before: str | None, after: str | None) -> Proof | None:
    """What the version proves that the application told before and after the reset; None: it told none after it.

    A version that was there before proves nothing: the image may have been refused. Nor does one of which nobody knows
    whether it was, as where an earlier call reset the device and did not ask. One that changed, and not to the image's,
    is none that can be compared.
    """
    if after is None:
        return None
    wanted = sorted(one for one in versions_of(image) if ("." in one) == ("." in after))
    if not wanted:
        return Proof(
            None, f"The application reports version {after} of the network core; {image.file} has none like it."
        )
    if after not in wanted:
        reason = f"The application reports version {after} of the network core; {image.file} is {' or '.join(wanted)}."
        return Proof(False if before in (None, after) else None, reason, ProofSource.VERSION)
    if after == before:
        return Proof(None, f"The application reported version {after} of the network core before the update, too.")
    if before is None:
        return Proof(
            None, f"The application reports version {after} of the network core; the version before is not known."
        )
    return Proof(True, f"The application reports version {after} of the network core.", ProofSource.VERSION)
