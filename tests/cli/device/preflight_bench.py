"""For the table of preflight's findings: a virtual device of any layout and build, and packages with any fault."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.client import Client, Patience
from smpdfu.dfu.do.steps import Deadlines
from smpdfu.dfu.package.images import Core, PackageImage
from smpdfu.dfu.package.package import new_package
from smpdfu.image.format import Dependency, Flag, Image, Tlv, TlvType, Version
from smpdfu.image.hashes import digest
from smpdfu.image.keys.keys import PrivateKey
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.virtual.boot.bootloader import DEFAULT_OPTIONS, BootOptions
from smpdfu.virtual.boot.network.netcore import B0n
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.layout import LAYOUTS
from smpdfu.virtual.line.load import Resources
from smpdfu.virtual.server import application
from smpdfu.virtual.store import devices as store_devices
from smpdfu.virtual.store.b0 import install_b0
from tests.dfu.conftest import FILES, Maker, firmware, is_like_any_ciphertext, sealed
from tests.dfu.mcuboot_images import mcuboot_image
from tests.simulated import simulate_commands

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Outcome

STAGED, SIMULTANEOUS, B0 = "nrf5340dk-staged", "nrf5340dk-simultaneous", "nrf5340dk-b0"
NET_CODE = 0x0100_8800
QUICK = Patience(reconnect_s=0.1, reset_grace_s=0.02, quiet_s=0.0, ping_s=0.1, pause_s=0.01)

Change = Callable[[Image], Image]


@dataclass(frozen=True)
class Built:
    """How the device was built. ``lacks``: requests that its SMP server does not have.

    ``app_needs`` are the dependencies of the application that it came with, ``mode`` is another one than the layout's.
    """

    layout: str = STAGED
    encrypts: bool = True
    signed: bool = True
    net_key: bool = False
    options: BootOptions = DEFAULT_OPTIONS
    lacks: tuple[type[Any], ...] = ()
    app_needs: tuple[Dependency, ...] = ()
    mode: str | None = None


@dataclass
class Bench:
    """The device at ``virtual:desk``, which runs 1.0.0 on both cores."""

    run: Call
    folder: Path
    keys: Maker
    built: Built
    patch: pytest.MonkeyPatch
    stranger: PrivateKey
    more: dict[str, Any] = field(default_factory=dict)

    def start(self) -> None:
        """Make it and switch it on."""
        simulate_commands(self.patch)
        self.patch.setitem(Client.__init__.__kwdefaults__, "patience", QUICK)  # type: ignore[arg-type]  # it has some
        soon = Deadlines(0.5, 0.02, 0.05, 0.4)
        self.patch.setattr("smpdfu.cli.update.run_update.Deadlines", lambda boot_s: soon)
        if self.built.lacks:
            options = replace(application.DEFAULT_OPTIONS, without=self.built.lacks)
            self.patch.setattr(application, "DEFAULT_OPTIONS", options)
        trusted = tuple(key.to_pem().decode() for key in (self.keys.key, self.stranger)[: 1 + bool(self.more)])
        recipe = store_devices.Recipe(
            self.built.layout,
            trusted if self.built.signed else (),
            (self.stranger.to_pem().decode(),) if self.built.net_key else (),
            self.keys.encryption.to_private_pem().decode() if self.built.encrypts else None,
            resources=Resources(reset_delay_s=0.0),
            options=self.built.options,
            mode=self.built.mode,
        )
        store_devices.create("desk", recipe)
        with store_devices.open_device("desk") as device:
            if device.layout.nsib is not None:
                install_b0(device, (self.keys.key.public,), mcuboot_image(self.keys, 0, 1).data, None, 240)
            device.load_app(self.data(version="1.0.0", counter=1, spec={"dependencies": self.built.app_needs}))
            if device.layout.mode is BootMode.FIRMWARE_LOADER:
                start = device.layout.secondary.start
                device.load_app(self.data(version="7.0.0", address=start + 0x200, fixed=start))
            device.load_net(self.data(Core.NET, "1.0.0", seal=self.stranger))
            device.reset()
            assert device.running is not None
            assert device.net_core.running is not (self.built.options.b0n is B0n.SILENT)

    # --- what it is given -------------------------------------------------------------------------------------------

    @property
    def app_code(self) -> int:
        return LAYOUTS[self.built.layout].primary.start + 0x200

    def code(self, core: Core, version: str, **how: Any) -> bytes:
        """The firmware; ``address`` where it is linked, ``size``, ``seal``: the key that seals it for b0n, or None."""
        at = how.get("address", self.app_code if core is Core.APP else NET_CODE)
        code: bytes = firmware(at, how.get("size", 3000), ord(version[0]))
        key: PrivateKey | None = how.get("seal", self.stranger)
        return code if core is Core.APP or not isinstance(key, PrivateKey) else sealed(code, at, key)

    def data(self, core: Core = Core.APP, version: str = "2.0.0", **how: Any) -> bytes:
        """A signed image. ``key``, ``encrypted`` and ``change``; the rest goes to the firmware or ``ImageSpec``.

        ``fixed``: the load address in the header, 0 for none.
        """
        slot = LAYOUTS[self.built.layout].primary.start if core is Core.APP else how.get("address", NET_CODE)
        spec = ImageSpec(Version.from_text(version), header_size=0x200, slot_size=0, pad_header=True)
        spec = replace(spec, rom_fixed=how.get("fixed", slot))
        spec = replace(spec, security_counter=how.get("counter"), **how.get("spec", {}))
        code = self.code(core, version, **how)
        if isinstance(at := how.get("breaks"), int):
            code = code[:at] + bytes([code[at] ^ 1]) + code[at + 1 :]
        signer = how.get("key", self.keys.key)
        image = build(spec, code, signer, self.keys.encryption.public if how.get("encrypted") else None)
        while image.encrypted and not spec.clear and not is_like_any_ciphertext(image):
            image = build(spec, code, signer, self.keys.encryption.public)
        change: Change | None = how.get("change")
        return (image if change is None else change(image)).to_bytes()

    def image(self, core: Core = Core.APP, version: str = "2.0.0", **how: Any) -> PackageImage:
        """The same in a package's manner."""
        address = self.app_code if core is Core.APP else how.get("address", NET_CODE)
        return PackageImage.from_bytes(self.data(core, version, **how), FILES[core], {"load_address": address})

    def package(self, *images: PackageImage) -> Path:
        """A file with a package of these."""
        path = self.folder / "package.zip"
        new_package([(image, image.load_address or self.app_code) for image in images]).write(path)
        return path

    def file(self, image: PackageImage) -> Path:
        path = self.folder / image.file
        path.write_bytes(image.data)
        return path

    def call(self, *arguments: object) -> Outcome:
        return self.run(*arguments, "--to", "virtual:desk", "-t", "0.5")

    def do(self, *arguments: object) -> None:
        """A call that must succeed."""
        done = self.call(*arguments)
        assert done.code == 0, done.err

    # --- what became of it ------------------------------------------------------------------------------------------

    def flash(self) -> dict[str, bytes]:
        """All of it."""
        return {path.name: path.read_bytes() for path in sorted((store_devices.home() / "desk").glob("*.flash"))}

    def runs(self) -> tuple[str | None, str | None]:
        """The versions of both cores after it was switched off and on; None for one that does not run."""
        with store_devices.open_device("desk") as device:
            device.reset()
            app = None if device.running is None else str(device.running.header.version)
            return app, self._net(device) if device.net_core.running else None

    def _net(self, device: Any) -> str:
        here = bytes(device.net_core.app.read(0, 0x200))
        versions = ("0.0.0", "1.0.0", "2.0.0", "3.0.0")
        return next((one for one in versions if self.code(Core.NET, one)[:0x200] == here), "?")


def remade(image: Image, key: PrivateKey) -> Image:
    """With the hash and the signature that it has to have as it is now."""
    sha = digest(TlvType.SHA256, image.hashed_parts())
    new: dict[int, bytes] = {TlvType.SHA256: sha, TlvType.ECDSA_SIG: key.sign(image.hashed_bytes())}
    return replace(image, unprotected=tuple(Tlv(tlv.type, new.get(tlv.type, tlv.data)) for tlv in image.unprotected))


def with_flags(image: Image, flags: Flag) -> Image:
    """The same with more flags in its header."""
    return replace(image, header=replace(image.header, flags=image.header.flags | flags))


def without(image: Image, *kinds: TlvType) -> Image:
    """The same without TLVs of these kinds."""
    return replace(image, unprotected=tuple(tlv for tlv in image.unprotected if tlv.type not in kinds))
