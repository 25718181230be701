"""A demo: a virtual board with its signing key, two releases of its firmware, and the commands to try on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.dfu.package.package import Board, new_package
from smpdfu.image.files import StrPath, write_files_atomic, write_key_file
from smpdfu.image.format import Version
from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.signing.build import build
from smpdfu.image.signing.spec import ImageSpec
from smpdfu.image.trailer import SwapMode
from smpdfu.virtual.chip.layout import LAYOUTS
from smpdfu.virtual.store.names import check_new, list_devices
from smpdfu.virtual.store.sample_firmware import CORES, demo_firmware, has_sample

LAYOUT, KEY_KIND, HEADER_BYTES = "nrf5340dk-staged", "ecdsa-p256", 0x200
_FILES = {"app": "app_update.bin", "net": "net_core_update.bin"}
_PACKAGE = "dfu_application.zip"
_BOOTLOADER = "--ncs latest --partitions pm"
"""What a real board's owner knows about the bootloader; without it, ``update`` has to warn of every other one."""
RELEASES = (1, 2)


@dataclass(frozen=True, slots=True)
class Step:
    """A command to try, and one sentence about it."""

    command: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo of a virtual device ``name``; its files are in ``NAME-demo`` in the current folder."""

    name: str

    @property
    def folder(self) -> Path:
        """The folder of the files, relative to the current one."""
        return Path(f"{self.name}-demo")

    @property
    def sign_key(self) -> Path:
        """The public key that the bootloader trusts."""
        return self.folder / "sign.pub.pem"

    def image(self, core: str, number: int = 1) -> Path:
        """The signed image of a core in a release."""
        return self.folder / f"v{number}" / _FILES[core]

    def package(self, number: int) -> Path:
        """The package of a release."""
        return self.folder / f"v{number}" / _PACKAGE

    @property
    def is_made(self) -> bool:
        """True if both the device and its files are there."""
        return self.name in list_devices() and all(self.package(number).is_file() for number in RELEASES)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The four commands to try, in this order."""
        to = f"--to virtual:{self.name}"
        package = f"{self.package(2).as_posix()} {_BOOTLOADER}"
        return (
            Step(f"smpdfu list {to}", "Show what the board runs: version 1.0.0."),
            Step(f"smpdfu update {package} --plan {to}", "Check version 2.0.0 against the board. This writes nothing."),
            Step(f"smpdfu update {package} {to}", "Update both cores to version 2.0.0."),
            Step(f"smpdfu virtual show {self.name}", "Show the flash of both cores after the update."),
        )

    def check(self) -> None:
        """Raise ``ValueError`` if this is no name, or the device or the folder exists: nothing is overwritten."""
        check_new(self.name)
        if self.folder.exists() or self.folder.is_symlink():
            raise ValueError(
                f"{self.folder} exists already, and smpdfu does not overwrite its keys. Choose another name, or move "
                f"{self.folder} away"
            )

    def make_files(self) -> None:
        """Make a new key, sign and pack both releases, and write everything into ``folder``.

        Raises ``SmpdfuError``, or ``OSError`` if the folder exists or cannot be written; then no folder is left.
        """
        self.folder.mkdir(mode=0o700)
        try:
            key = generate(KEY_KIND)
            write_key_file(self.folder / "sign.pem", key.to_private_pem())
            files: dict[StrPath, bytes] = {self.sign_key: key.public.to_pem()}
            for number in RELEASES:
                self.package(number).parent.mkdir()
                files |= self._release(number, key)
            write_files_atomic(files)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def remove_files(self) -> None:
        """Remove what ``make_files`` made."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _release(self, number: int, key: PrivateKey) -> Mapping[StrPath, bytes]:
        """The signed images of both cores and their package."""
        primary = LAYOUTS[LAYOUT].primary
        made = []
        for core, payload in demo_firmware(number).items():
            is_app = core is CORES[0]
            spec = ImageSpec(
                version=Version(number, 0, 0),
                header_size=HEADER_BYTES,
                slot_size=primary.size_bytes,
                pad_header=True,
                align=4,
                swap_mode=SwapMode.MOVE,
                rom_fixed=primary.start if is_app else core.slot_code,
            )
            image = build(spec, payload, key)
            made.append((PackageImage(Role(core.name), _FILES[core.name], image.to_bytes(), image), core.slot_code))
        package = new_package(made, name=f"demo {number}.0.0", board=Board())
        images: dict[StrPath, bytes] = {self.image(one.core, number): one.data for one, _ in made}
        return images | {self.package(number): package.to_bytes()}

    def lines(self) -> Iterator[str]:
        """What to tell a person after the demo is made."""
        firmware = "Zephyr's hci_usb sample" if has_sample() else "a small sample image that holds no program"
        yield f"Created the virtual board {self.name}. It runs version 1.0.0 of {firmware}."
        yield f"Its signing key and two releases are in {self.folder}/. Use the key for this demo only."
        yield ""
        yield "Try these commands in this folder:"
        for step in self.steps:
            yield ""
            yield f"# {step.sentence}"
            yield step.command
