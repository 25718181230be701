"""The cases of vectors/truth by their names: what lies in the slots before the first boot."""

from __future__ import annotations

from dataclasses import dataclass, replace

from smpdfu.image.format import Version
from smpdfu.virtual.boot.network.netcore import B0n
from tests.virtual.truth_device import LOW_FIRMWARE, OLD_APP, Make

APP, NET = Make(), Make(net=True, version=OLD_APP)
RUNNING = Make(version=OLD_APP)
NET2 = replace(NET, version=Version(2))
V1, V2, V3 = Version(1), Version(2), Version(3)


@dataclass(frozen=True)
class Setup:
    """``x`` and ``y`` are put into the secondary slots of image 0 and 1, ``running`` is what runs."""

    x: Make | None = None
    y: Make | None = None
    permanent: bool = False
    answers: B0n = B0n.KEYS
    running: Make = RUNNING
    blank_net: bool = False


STAGED: dict[str, Setup] = {
    "app test": Setup(APP),
    "app perm": Setup(APP, permanent=True),
    # The model of b0n that the data were made with took what it could not read.
    "app encrypted": Setup(replace(APP, encrypt=True), answers=B0n.ACCEPTS),
    "net accepted, test": Setup(NET),
    "net accepted, perm": Setup(NET, permanent=True),
    "net refused": Setup(replace(NET, damaged=True)),
    "net hang": Setup(NET, answers=B0n.SILENT),
    "net without load address": Setup(replace(NET, rom=0)),
    "net without seal": Setup(replace(NET, sealed=False)),
    "net onto blank net core": Setup(NET, blank_net=True),
    "app without load address": Setup(replace(APP, rom=0)),
    "app linked elsewhere (0x90200), load addr right": Setup(replace(APP, at=0x9_0200)),
    "app linked elsewhere, load addr says so": Setup(replace(APP, at=0x9_0200, rom=0x9_0000)),
    "app for QSPI 0x12000000": Setup(replace(APP, at=0x1200_0000, rom=0x1200_0000)),
    "net linked for b0n area 0x01002800": Setup(replace(NET, at=0x0100_2800, rom=0x0100_2800)),
    "net encrypted": Setup(replace(NET, encrypt=True), answers=B0n.ACCEPTS),
    "net encrypted, no load address": Setup(replace(NET, encrypt=True, rom=0), answers=B0n.ACCEPTS),
    "app downgrade test": Setup(replace(APP, version=Version(0, 9))),
    "app downgrade perm": Setup(replace(APP, version=Version(0, 9)), permanent=True),
    "net, header version below app's": Setup(replace(NET, version=Version(0))),
    "net, b0n version lower (vcmp -1)": Setup(replace(NET, firmware=LOW_FIRMWARE)),
    "net, version unreadable (vcmp -14)": Setup(replace(NET, sealed=False)),
}

SIMULTANEOUS: dict[str, Setup] = {
    "both": Setup(APP, NET2),
    "both perm": Setup(APP, NET2, permanent=True),
    "only app": Setup(APP),
    "only net": Setup(y=NET2),
    "both, net refused": Setup(APP, replace(NET2, damaged=True)),
    "only net, refused": Setup(y=replace(NET2, damaged=True)),
    "both, net hangs": Setup(APP, NET2, answers=B0n.SILENT),
    "both without load addresses": Setup(replace(APP, rom=0), replace(NET2, rom=0)),
    "net image in image 0": Setup(NET2),
    "app image in image 1": Setup(y=APP),
    "app linked elsewhere (0xC200)": Setup(replace(APP, at=0xC200, rom=0xC000)),
    "net needs app 3.0.0 (unmet)": Setup(APP, replace(NET2, needs=((0, V3),))),
    "app needs net 1.0.0, net not sent (fake header 0.0.0)": Setup(replace(APP, needs=((1, V1),))),
    "net needs app 2.0.0 (met by same update)": Setup(APP, replace(NET2, needs=((0, V2),))),
    "net without seal": Setup(APP, replace(NET2, sealed=False)),
    "D1 both pending; app needs net 3.0.0, net is 2.0.0": Setup(replace(APP, needs=((1, V3),)), NET2),
    "D1b same, NCS network image (header 0.0.0)": Setup(
        replace(APP, needs=((1, V3),)), replace(NET2, version=Version(0))
    ),
    "D2 running app needs net 2.0.0; net 1.5.0 pending alone": Setup(
        y=replace(NET2, version=Version(1, 5)), running=replace(RUNNING, needs=((1, V2),))
    ),
    "D3 both pending; net needs app 3.0.0 (unmet)": Setup(APP, replace(NET2, needs=((0, V3),))),
    "D4 net alone, needs app 2.0.0 (unmet)": Setup(y=replace(NET2, needs=((0, V2),))),
    "D5 app alone, fine": Setup(APP),
    "D6 dependency on image 5": Setup(replace(APP, needs=((5, V1),)), NET2),
}
