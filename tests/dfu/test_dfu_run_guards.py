"""What ``run`` and ``steps`` guard against besides faults of the device: each guard has a test that it keeps green."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.dfu.decide.device_state import DeviceState, Scheme
from smpdfu.dfu.decide.record import Record
from smpdfu.dfu.decide.steps.rules import Action, Step
from smpdfu.dfu.do.journal.journal import Journal
from smpdfu.dfu.do.steps import StepRunner
from smpdfu.dfu.do.update import Update, Wish, decide
from smpdfu.dfu.package.images import Role
from smpdfu.errors import DeviceError, PlanError, StepError
from smpdfu.image.keys.keys import generate
from smpdfu.smp.groups.image import ImageSlot, StateReply
from smpdfu.smp.groups.shell import ShellExecute
from smpdfu.smp.message import MgmtRc
from tests.simulated import simulate

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker, State

OLD = ImageSlot(slot=0, version="1.0.0", hash=b"\x11" * 32, active=True, confirmed=True)
OTHER = ImageSlot(slot=0, version="9.0.0", hash=b"\x99" * 32, active=True, confirmed=True)


class FakeClient:
    """Lists ``images`` and takes every upload, without listing what it took."""

    boot_text, name = "", "fake"

    def __init__(self, *images: ImageSlot) -> None:
        self.images, self.uploads = images, 0

    async def request(self, request: object) -> StateReply:
        if isinstance(request, ShellExecute):
            raise DeviceError(None, MgmtRc.ENOTSUP, request.title)
        return StateReply(self.images)

    async def upload(self, *_: object, **__: object) -> None:
        self.uploads += 1


def test_a_network_image_goes_to_its_application_only(
    make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device runs another application than when the plan was made: not a byte is sent.

    ``samedevice`` would see that, too, where it is another device; this guard stands by itself.
    """

    async def same(*_: object) -> None:
        """Takes it for the same device."""

    monkeypatch.setattr("smpdfu.dfu.do.update.SameDevice.check", same)
    client: Any = FakeClient(OTHER)
    package = make.package(make.image(Role.NET))

    async def do() -> None:
        with Journal(tmp_path / "journal") as journal:
            wish = Wish(scheme=Scheme.STAGED, force=True)
            decision = decide(package, DeviceState((OLD,)), journal.record, wish)
            assert decision.plan.steps[0].name == "upload net"
            await Update(client, package, journal, wish=wish).run(decision)

    with pytest.raises(StepError, match=r"runs version 9\.0\.0 and not the application that goes with") as caught:
        simulate(do())
    assert caught.value.resumable
    assert client.uploads == 0


def test_an_upload_that_the_device_does_not_list_is_no_upload(make: Maker) -> None:
    client: Any = FakeClient(OLD)
    step = Step(Action.UPLOAD, Role.APP)
    with pytest.raises(StepError, match="was sent completely, but the device does not list it") as caught:
        simulate(StepRunner(client).do(step, make.image(), DeviceState((OLD,))))
    assert caught.value.resumable
    assert client.uploads == 1


def test_a_trial_that_nobody_watched_begins_anew(make: Maker, state: State) -> None:
    """The image still lies in the other slot; what the journal says of it is about a trial that ended."""
    image = make.image()
    back = ImageSlot(slot=1, version="2.0.0", hash=image.hash)
    package = make.package(image)
    record = Record(package.digest, frozenset({"upload app", "test app", "reset app"}))
    decision = decide(package, state(OLD, back), record)
    assert decision.tried_again
    assert [step.name for step in decision.plan.steps] == [
        f"{one} app" for one in ("upload", "test", "reset", "check", "confirm")
    ]
    early = Record(package.digest, frozenset({"upload app"}))
    assert decide(package, state(OLD, back), early).plan.steps[0].name == "test app", "what was only sent counts"


# --- what a person demands ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("force", [False, True])
def test_what_no_trusted_key_has_signed_is_refused(make: Maker, state: State, force: bool) -> None:
    """Also in spite of --force, and an encrypted image by the signature over the hash that it names."""
    ours, another = make.key.public, generate("ecdsa-p256").public
    for encrypted in (False, True):
        image = make.image(encrypted=encrypted)
        for trust, wanted in (((), False), ((ours,), False), ((another, ours), False), ((another,), True)):
            decision = decide(make.package(image), state(), Record(), Wish(trust=trust, force=force))
            assert ("untrusted" in [one.code for one in decision.refused]) is wanted
    bare = make.package(make.image(signed=False))
    decision = decide(bare, state(), Record(), Wish(trust=(ours,), force=force))
    assert "untrusted" in [one.code for one in decision.refused]
    assert "untrusted" not in [one.code for one in decide(bare, state(), Record()).findings]

    async def go() -> None:
        client: Any = FakeClient(OLD)
        journal: Any = None
        await Update(client, bare, journal, wish=Wish(force=force)).run(decision)

    with pytest.raises(PlanError) as caught:
        simulate(go())
    assert "untrusted" in caught.value.codes


def test_a_damaged_image_is_not_the_one_that_was_signed(make: Maker, state: State) -> None:
    from smpdfu.dfu.package.images import PackageImage

    data = bytearray(make.data())
    data[0x300] ^= 1
    image = PackageImage.from_bytes(bytes(data), "app_update.bin", {"load_address": 0xC200})
    decision = decide(make.package(image), state(), Record(), Wish(trust=(make.key.public,)))
    assert "untrusted" in [one.code for one in decision.refused]


@pytest.mark.parametrize(("version", "refused"), [("0.9.0", True), ("1.0.0", False), ("1.0.1", False)])
def test_an_older_application_is_refused_if_asked(make: Maker, state: State, version: str, refused: bool) -> None:
    package = make.package(make.image(version=version))
    strict, usual = (decide(package, state(), Record(), Wish(no_downgrade=one)) for one in (True, False))
    assert ([one.code for one in strict.refused] == ["downgrade"]) is refused
    assert not usual.refused
    assert ("downgrade" in [one.code for one in usual.findings]) is refused
