"""Devices in files: made, taken by one process at a time, put aside and taken up again, never half there."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from smpdfu.errors import ConnectError, KeyFileError
from smpdfu.link.pipe import Pipe
from smpdfu.loaders.releases import Partitions, releases_of
from smpdfu.loaders.rules import Loader
from smpdfu.smp.framing import ConsoleFraming
from smpdfu.smp.groups.image import ImageUpload, UploadReply
from smpdfu.smp.groups.os import Echo, EchoReply
from smpdfu.smp.message import Request, Response
from smpdfu.smp.session import read_outcome
from smpdfu.virtual.boot.build import AddressCheck, BootOptions
from smpdfu.virtual.boot.network.netcore import B0n
from smpdfu.virtual.chip.layout import LAYOUTS
from smpdfu.virtual.report import report
from smpdfu.virtual.store import device_files
from smpdfu.virtual.store import devices as store_devices
from smpdfu.virtual.store.devices import Recipe
from tests.simulated import simulate

LAYOUT = "nrf5340dk-staged"
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX file modes and signals")


@pytest.fixture
def image(keys_dir: Path) -> bytes:
    """An application image for the DK that the key in the recipe accepts."""
    from smpdfu.image.format import Version
    from smpdfu.image.keys.keys import load_private
    from smpdfu.image.signing.build import ImageSpec, build

    spec = ImageSpec(Version(1), 0x200, 0, pad_header=True)
    firmware = b"".join(word.to_bytes(4, "little") for word in (0x2000_4000, *[0xC301] * 15)) + bytes(4000)
    return build(spec, firmware, load_private((keys_dir / "dev-sign-p256.pem").read_bytes())).to_bytes()


@pytest.fixture
def recipe(keys_dir: Path) -> Recipe:
    sign, encrypt = (
        (keys_dir / f"dev-{name}-p256{kind}").read_text() for name, kind in (("sign", ".pub.pem"), ("encrypt", ".pem"))
    )
    return Recipe(LAYOUT, (sign,), (), encrypt)


@pytest.fixture
def desk(recipe: Recipe, image: bytes) -> str:
    """The name of a device with firmware, put aside with its power on."""
    store_devices.create("desk", recipe)
    with store_devices.open_device("desk", switch_on=False) as device:
        device.load_app(image)
        assert device.reset() is not None
    return "desk"


async def ask(pipe: Pipe, request: Request[Any]) -> Response:
    framing = ConsoleFraming()
    await pipe.write(framing.encode(request.to_bytes(1)))
    while True:
        for message in framing.feed(await pipe.read()):
            outcome = read_outcome(request, message[8:])
            assert isinstance(outcome, Response)
            return outcome


# --- making ---------------------------------------------------------------------------------------------------------


def test_a_new_device_is_blank_and_the_users_alone(recipe: Recipe) -> None:
    store_devices.create("desk", recipe)
    assert store_devices.list_devices() == ("desk",)
    folder = store_devices.home() / "desk"
    sizes = {path.name: path.stat().st_size for path in folder.glob("*.flash")}
    assert sizes == {"app.flash": 0x10_0000, "net.flash": 0x4_0000, "uicr.flash": 0x1000}
    assert set((folder / "app.flash").read_bytes()) == {0xFF}
    with store_devices.open_device("desk") as device:
        assert device.running is None
        assert device.keys.decryption is not None
        assert len(device.keys.verifiers) == 1


def test_erases_are_counted_over_the_life_of_a_device(desk: str) -> None:
    for _ in range(3):
        with store_devices.open_device(desk) as device:
            device.app.erase(0x8_6000, 4096)
    worn = {one.memory: one for one in report(store_devices.view_device(desk)).wear}
    assert (worn["app"].address, worn["app"].erases) == (0x8_6000, 3)
    for damage in ("", "[]", '{"app": 3}', '{"app": {"x": 1}}'):
        (store_devices.home() / desk / "wear.json").write_text(damage)
        assert store_devices.view_device(desk).app.erase_counts == {}


def test_a_device_that_is_older_than_parts_of_it_is_taken_up(desk: str) -> None:
    folder = store_devices.home() / desk
    (folder / "uicr.flash").unlink()
    recipe = json.loads((folder / "device.json").read_text())
    for key in ("partitions", "mode", "content_key_size", "options", "resources"):
        del recipe[key]
    (folder / "device.json").write_text(json.dumps(recipe))
    assert store_devices.view_device(desk).layout.name == recipe["layout"]
    assert not (folder / "uicr.flash").exists()
    with store_devices.open_device(desk) as device:
        assert device.chip.flashes["uicr"].read(0x00FF_8000, 4) == b"\xff" * 4
        assert not device.keys.options.downgrade_prevention
    assert (folder / "uicr.flash").stat().st_size == 0x1000


def test_a_device_that_is_older_than_the_choice_of_loaders_has_the_latest(desk: str) -> None:
    folder = store_devices.home() / desk
    recipe = json.loads((folder / "device.json").read_text())
    recipe["options"] = {"downgrade_prevention": True, "by_counter": False, "rollback_protection": False}
    (folder / "device.json").write_text(json.dumps(recipe))
    options = store_devices.view_device(desk).keys.options
    assert options == BootOptions(downgrade_prevention=True)
    assert (options.loader.name, options.check_address, options.b0n) == ("3.5/pm", None, B0n.KEYS)


def test_how_the_bootloaders_were_built_is_kept(recipe: Recipe) -> None:
    options = BootOptions(
        loader=Loader(releases_of("3.4.0")[0], Partitions.DTS),
        check_address=AddressCheck.NONE,
        reads_net_version=True,
        xip_split=True,
        app_class=bytes(16),
        net_class=bytes(range(16)),
        b0n=B0n.REFUSES,
    )
    store_devices.create("built", replace(recipe, options=options))
    assert store_devices.view_device("built").keys.options == options
    found = report(store_devices.view_device("built"))
    assert (found.bootloader, found.partitions, found.address_check) == ("NCS 3.4.0", "dts", "none")
    for damage in (
        {"loader": "9.9/pm"},
        {"check_address": "name"},
        {"b0n": "asks"},
        {"net_class": "xx"},
        {"loader": 3},
    ):
        with pytest.raises((ValueError, TypeError, AttributeError)):
            BootOptions.from_dict(options.to_dict() | damage)


@posix
def test_nobody_else_can_read_a_device(desk: str) -> None:
    folder = store_devices.home() / desk
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


@pytest.mark.parametrize("name", ["", "..", "../desk", "a/b", ".hidden", "-x", "a" * 65, "a b", "ä"])
def test_a_bad_name_makes_nothing(recipe: Recipe, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of a device"):
        store_devices.create(name, recipe)
    with pytest.raises(ConnectError, match="there is no virtual device"):
        store_devices.open_device(name)
    assert not store_devices.home().exists()


def test_what_makes_no_device_leaves_nothing(desk: str, recipe: Recipe) -> None:
    with pytest.raises(ValueError, match="already"):
        store_devices.create(desk, recipe)
    with pytest.raises(ValueError, match="no layout 'nrf91'"):
        store_devices.create("other", Recipe("nrf91"))
    with pytest.raises(KeyFileError):
        store_devices.create("other", Recipe(LAYOUT, ("not a key",)))
    assert [path.name for path in store_devices.home().iterdir()] == [desk]


def test_a_full_disk_leaves_no_half_device(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes, **_: object) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(device_files, "write_file_atomic", full)
    with pytest.raises(OSError, match="No space left"):
        store_devices.create("desk", recipe)
    assert list(store_devices.home().iterdir()) == []


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_makes_a_device(name: str) -> None:
    store_devices.create("any", Recipe(name))
    assert store_devices.view_device("any").layout == LAYOUTS[name]


# --- taking and putting aside ---------------------------------------------------------------------------------------


def test_flash_and_power_outlast_the_process_that_had_the_device(desk: str, image: bytes) -> None:
    lines = store_devices.read_log(desk)
    for _ in range(2):
        with store_devices.open_device(desk) as device:
            assert device.running is not None
            assert device.images[0].primary.area.read(0, len(image)) == image
    assert store_devices.read_log(desk) == lines  # no boot: it was on all the time


def test_a_process_that_dies_cuts_the_power(desk: str, image: bytes) -> None:
    lines = len(store_devices.read_log(desk))
    script = f"""
        import os
        from smpdfu.virtual.store import devices
        device = devices.open_device({desk!r})
        device.program(0xF0000, b"written")
        os._exit(1)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    with store_devices.open_device(desk) as device:
        assert device.app.read(0xF0000, 7) == b"written"
        assert device.running is not None
    assert len(store_devices.read_log(desk)) > lines  # it booted


def test_a_device_whose_power_was_cut_boots_when_it_is_taken_up(desk: str, image: bytes) -> None:
    with store_devices.open_device(desk) as device:
        device.app.power.cut_after = 0
        assert device.answers(ImageUpload(off=0, len=len(image), data=image[:700]).to_bytes(1)) == []
    assert not store_devices.view_device(desk).powered
    lines = len(store_devices.read_log(desk))
    with store_devices.open_device(desk) as device:
        assert device.running is not None
    assert len(store_devices.read_log(desk)) > lines


def test_a_device_can_be_taken_without_switching_it_on(desk: str) -> None:
    (store_devices.home() / desk / "ram.json").unlink()
    with store_devices.open_device(desk, switch_on=False) as device:
        assert (device.powered, device.running) == (False, None)
    with store_devices.open_device(desk) as device:
        assert device.running is not None


def test_an_upload_goes_on_in_the_next_process(desk: str, image: bytes) -> None:
    async def send(*requests: ImageUpload) -> list[Response]:
        async with store_devices.DevicePipe(desk) as pipe:
            return [await ask(pipe, one) for one in requests]

    start = ImageUpload(off=0, len=len(image), sha=b"\x05" * 32, data=image[:700])
    simulate(send(start, ImageUpload(off=700, data=image[700:1500])))
    assert simulate(send(start)) == [UploadReply(1500)]
    assert simulate(send(ImageUpload(off=1500, data=image[1500:3400]))) == [UploadReply(3400)]
    assert simulate(send(ImageUpload(off=3400, data=image[3400:]))) == [UploadReply(len(image))]
    assert store_devices.view_device(desk).images[0].secondary.area.read(0, len(image)) == image


def test_one_at_a_time_has_a_device(desk: str) -> None:
    with store_devices.open_device(desk) as device:
        with pytest.raises(ConnectError, match=rf"process {os.getpid()} uses the virtual device 'desk'$"):
            store_devices.open_device(desk)
        device.announce("/dev/pts/9")
        with pytest.raises(ConnectError, match=r"uses the virtual device 'desk' at /dev/pts/9$"):
            store_devices.delete(desk)
        assert store_devices.holder_of(desk) == {
            "pid": os.getpid(),
            "port": "/dev/pts/9",
            "app_runs": True,
            "net_runs": False,
        }
        assert store_devices.view_device(desk).running == device.running
    assert store_devices.holder_of(desk) is None
    store_devices.open_device(desk).close()


def test_a_view_changes_nothing(desk: str) -> None:
    view = store_devices.view_device(desk)
    assert view.running is not None
    with pytest.raises(TypeError):
        view.program(0, b"x")
    with store_devices.open_device(desk) as device:
        assert not device.log


def test_closing_twice_is_no_harm(desk: str) -> None:
    device = store_devices.open_device(desk)
    device.close()
    device.close()
    assert store_devices.holder_of(desk) is None


def test_a_pipe_takes_the_device_while_it_is_open(desk: str) -> None:
    async def talk() -> None:
        pipe = store_devices.DevicePipe(desk)
        for text in ("first", "second"):
            async with pipe:
                assert await ask(pipe, Echo(text)) == EchoReply(text)
                with pytest.raises(ConnectError):
                    store_devices.open_device(desk)
        with pytest.raises(ConnectError, match=r"there is no virtual device 'nobody'\. Known devices: desk"):
            await store_devices.DevicePipe("nobody").open()

    simulate(talk())
    assert store_devices.holder_of(desk) is None


def test_delete(desk: str) -> None:
    store_devices.delete(desk)
    assert store_devices.list_devices() == ()
    assert list(store_devices.home().iterdir()) == []
    with pytest.raises(ConnectError):
        store_devices.delete(desk)


# --- damage ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "contents"),
    [
        ("device.json", b"{"),
        ("device.json", b"[]"),
        ("device.json", b"{}"),
        ("device.json", b'{"layout": "nrf91", "sign_keys": [], "net_keys": [], "enc_key": null}'),
        ("device.json", b'{"layout": "nrf5340dk-staged", "sign_keys": ["x"], "net_keys": [], "enc_key": null}'),
        ("app.flash", b"short"),
        ("net.flash", None),
    ],
)
def test_damaged_files_are_one_sentence(desk: str, file: str, contents: bytes | None) -> None:
    path = store_devices.home() / desk / file
    if contents is None:
        path.unlink()
    else:
        path.write_bytes(contents)
    for look in (store_devices.open_device, store_devices.view_device):
        with pytest.raises(ConnectError, match="smpdfu cannot use the virtual device 'desk': "):
            look(desk)
    assert store_devices.holder_of(desk) is None


@pytest.mark.parametrize(
    "contents", [b"", b"{}", b"[1]", b'{"app_runs": true, "net_runs": true, "upload": {"sha": 3}}']
)
def test_what_is_not_whole_was_never_put_aside(desk: str, contents: bytes) -> None:
    (store_devices.home() / desk / "ram.json").write_bytes(contents)
    with store_devices.open_device(desk) as device:
        assert device.log  # it booted
        assert device.running is not None


def test_the_log_does_not_grow_for_ever(desk: str) -> None:
    path = store_devices.home() / desk / "console.log"
    path.write_bytes(b"line\n" * 300_000)
    with store_devices.open_device(desk) as device:
        device.reset()
    assert 0 < path.stat().st_size < 10_000
    assert any(line.startswith("*** Booting Zephyr OS") for line in store_devices.read_log(desk))


# --- the lock -------------------------------------------------------------------------------------------------------


def test_a_lock_without_a_readable_note_still_holds(desk: str) -> None:
    with store_devices.open_device(desk):
        (store_devices.home() / desk / "lock").write_text("{")
        with pytest.raises(ConnectError, match=r"another process uses the virtual device 'desk'$"):
            store_devices.open_device(desk)


@pytest.mark.parametrize(
    ("variables", "home"),
    [
        ({"SMPDFU_VIRTUAL_HOME": "/a", "SMPDFU_STATE_HOME": "/d"}, "/a"),
        ({"SMPDFU_STATE_HOME": "/d", "XDG_STATE_HOME": "/b"}, "/d/virtual"),
        ({"XDG_STATE_HOME": "/b", "HOME": "/c"}, "/b/smpdfu/virtual"),
        ({"HOME": "/c"}, "/c/.local/state/smpdfu/virtual"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="the places of other systems are their own")
def test_home(variables: dict[str, str], home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SMPDFU_VIRTUAL_HOME", "SMPDFU_STATE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert str(store_devices.home()) == home
