"""What a stored device is made from: the layout, the keys of its bootloaders, and how all of it was built."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from smpdfu.image.keys.keys import PrivateKey, Verifier, load_key, load_private
from smpdfu.virtual.boot.build import DEFAULT_OPTIONS, BootKeys, BootOptions, check_second_stage
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.layout import LAYOUTS, Layout, net_layout
from smpdfu.virtual.chip.partitions import read_layout
from smpdfu.virtual.line.load import DEFAULT_RESOURCES, Resources


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a device is made from. Keys are PEM; only ``enc_key`` is private: the bootloader decrypts with it.

    ``layout`` is a row of ``LAYOUTS``, or the name of the partition table in ``partitions``; ``mode`` replaces the
    layout's way of updating. ``net_app`` is where the network core's application is, start and size in bytes; None for
    the usual place. MCUboot trusts ``sign_keys``, b0n trusts ``net_keys``. ``content_key_size`` is 16 or 32 bytes.
    ``resources`` are those of its SMP server. ``device_id`` is the chip's number in hex; None if the firmware does not
    report it. ``with_nsib``: a table in ``partitions`` that has NSIB makes a device with it, where that is modelled;
    devices that were stored before have none.
    """

    layout: str
    sign_keys: tuple[str, ...] = ()
    net_keys: tuple[str, ...] = ()
    enc_key: str | None = None
    resources: Resources = DEFAULT_RESOURCES
    partitions: str | None = None
    mode: str | None = None
    content_key_size: int = 16
    options: BootOptions = DEFAULT_OPTIONS
    device_id: str | None = None
    net_app: tuple[int, int] | None = None
    with_nsib: bool = True

    def boot_keys(self) -> BootKeys:
        """Return the keys in the form that the bootloaders use. Raises ``KeyFileError``."""
        decryption = None if self.enc_key is None else load_private(self.enc_key.encode())
        sign_keys, net_keys = _public(self.sign_keys), _public(self.net_keys)
        return BootKeys(sign_keys, decryption, self.content_key_size, net_keys, self.options)

    @property
    def device_id_bytes(self) -> bytes | None:
        """``device_id`` as the chip has it; ValueError if it is not hex."""
        return None if self.device_id is None else bytes.fromhex(self.device_id)

    def make_layout(self) -> Layout:
        """Return the layout of both cores. Raises ``ValueError`` for an unknown name, ``FormatError``."""
        mode = None if self.mode is None else BootMode(self.mode)
        if self.partitions is not None:
            layout = self._read_layout(self.partitions.encode(), mode)
        elif self.layout not in LAYOUTS:
            raise ValueError(f"there is no layout {self.layout!r}. Use one of: {', '.join(LAYOUTS)}")
        else:
            layout = LAYOUTS[self.layout] if mode is None else LAYOUTS[self.layout].in_mode(mode)
        return layout if self.net_app is None else replace(layout, net=net_layout(*self.net_app))

    def _read_layout(self, table: bytes, mode: BootMode | None) -> Layout:
        layout = read_layout(table, self.layout, mode, with_nsib=self.with_nsib)
        if layout.nsib is None:
            return layout
        try:
            check_second_stage(layout, self.options)
        except ValueError:
            return read_layout(table, self.layout, mode, with_nsib=False)
        return layout

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(replace(self, options=DEFAULT_OPTIONS)) | {"options": self.options.to_dict()}


def _public(pems: tuple[str, ...]) -> tuple[Verifier, ...]:
    keys = (load_key(pem.encode()) for pem in pems)
    return tuple(key.public if isinstance(key, PrivateKey) else key for key in keys)
