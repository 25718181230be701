"""A build folder of each kind, the board that it was made for, and the state that its update must end in."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from smpdfu.dfu.package.images import Role
from smpdfu.dfu.package.package import Package
from smpdfu.virtual.store import devices as store_devices
from tests.build_folders import built
from tests.vectors.build_folders.kinds import NRF54L15, TABLE, Kind
from tests.vectors.make_build_folders import make_build_folder, signing_key

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Outcome

BOARD_KINDS = tuple(kind for kind, one in TABLE.items() if one.chip is not NRF54L15)
"""All of the nRF5340, and those whose board a virtual nRF5340 can be, too."""
OLD, NEW = "0.9.0", "1.2.3+4"
NAME = "board"
_TEMPORARY = TemporaryDirectory(prefix="smpdfu-old-builds-")
FAR = 1_000_000
"""More flash operations than any update has."""


@cache
def built_before(kind: str) -> Path:
    """The folder of the same build in its version before: the board has that firmware. Nobody may change it."""
    folder = Path(_TEMPORARY.name) / kind
    make_build_folder(kind, folder, version=OLD)
    return folder


@dataclass(frozen=True)
class State:
    """What runs: version and hash of the application, its external half, what the network core has (SHA-256).

    ``listed`` is what SMP lists of the image that runs: version and flags.
    """

    runs: bool
    application: tuple[str, str]
    external: str | None
    net_runs: bool
    net: str | None
    listed: tuple[str, str]


@dataclass(frozen=True)
class Bench:
    """A board of a kind of build that runs the version before, and the package of the build."""

    smpdfu: Call
    kind: str
    folder: Path

    @property
    def words(self) -> Kind:
        """What makes the kind differ from others."""
        return TABLE[self.kind]

    @property
    def package(self) -> Path:
        """The file."""
        return self.folder / "dfu_application.zip"

    def pack(self, *options: object, with_key: bool) -> Outcome:
        """``package BUILD_DIR -k KEY`` with no option but these and the folder to write to, or without a key."""
        key = ("-k", signing_key(self.kind)) if with_key else ()
        done = self.smpdfu("package", built(self.kind), *key, *options, "-o", self.folder, "--json")
        assert done.code == 0, done.err
        return done

    def new(self, *options: object) -> None:
        """``virtual new --build``: the board of the build before, with no other option than these."""
        made = self.smpdfu("virtual", "new", NAME, "--build", built_before(self.kind), *options, "--json")
        assert made.code == 0, made.err
        assert json.loads(made.out)["app_runs"] is True

    def update(self, *options: object) -> Outcome:
        """``update PACKAGE`` with no other option than the device, and these."""
        return self.smpdfu("update", self.package, "--to", f"virtual:{NAME}", *options)

    def cut(self, after: int) -> None:
        """Cut the power after so many more flash operations."""
        assert self.smpdfu("virtual", "cut", NAME, "--after", after).code == 0

    def operations(self) -> int:
        """How many flash operations a whole update has."""
        self.cut(FAR)
        done = self.update()
        assert done.code == 0, done.err
        return FAR - int(json.loads(self._armed.read_text())["after"])

    def is_armed(self) -> bool:
        """Whether a power cut is still to come."""
        return self._armed.exists()

    @property
    def _armed(self) -> Path:
        return store_devices.home() / NAME / "cut.json"

    def state(self) -> State:
        """As ``virtual show`` and ``list`` tell it."""
        shown = json.loads(self.smpdfu("virtual", "show", NAME, "--json").out)
        half = shown["external_half"]
        places = {(one["image"], one["slot"]): one for one in shown["slots"]}
        active = next((one for one in shown["slots"] if one["active"]), {"version": "", "hash": ""})
        return State(
            runs=shown["app_runs"],
            application=(active["version"], active["hash"]),
            external=None if half is None else places[half, 0]["hash"],
            net_runs=shown["net_runs"],
            net=shown["net"]["sha256"],
            listed=self._listed(active["version"]),
        )

    def _listed(self, version: str) -> tuple[str, str]:
        done = self.smpdfu("list", "--to", f"virtual:{NAME}", "--json")
        assert done.code == 0, done.err
        flags = ("active", "confirmed", "pending", "permanent")
        found: list[dict[str, Any]] = json.loads(done.out)["images"]
        first = next(one for one in found if one["image"] == 0 and one["active"])
        assert first["version"] == version
        return version, " ".join(flag for flag in flags if first[flag])

    def wanted(self) -> State:
        """What the package and the build's own files say that the board must run."""
        images = {(one.role, one.slot): one for one in Package.load(self.package).images}
        second = self.words.direct_xip  # the board runs its first slot, so the update goes into the second
        app = images[Role.APP, int(second) if second else None]
        external, net = images.get((Role.EXTERNAL, None)), images.get((Role.NET, None))
        return State(
            runs=True,
            application=(NEW, (app.hash or b"").hex()),
            external=None if external is None else (external.hash or b"").hex(),
            net_runs=net is not None,
            net=None if net is None else hashlib.sha256(net.image.payload.rstrip(b"\xff")).hexdigest(),
            listed=(NEW, "active confirmed"),
        )
