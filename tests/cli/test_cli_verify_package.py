"""``verify`` of packages: each image as MCUboot, b0n and b0 judge it, in one call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.dfu.package.package import Package
from smpdfu.image.keys.keys import PrivateKey, generate
from tests.build_folders import built
from tests.vectors.make_build_folders import signing_key

if TYPE_CHECKING:
    from tests.cli.conftest import Call

STAGED, OWN = "ncs3.0-sysbuild-pm-staged", "ncs3.0-pm-mcuboot-update"
SIGN, NSIB, OTHER = (generate("ecdsa-p256") for _ in range(3))


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with both halves of three keys."""
    monkeypatch.chdir(tmp_path)
    for name, key in (("sign", SIGN), ("nsib", NSIB), ("other", OTHER)):
        write(key, name)
    return tmp_path


def write(key: PrivateKey, name: str) -> None:
    Path(f"{name}.pem").write_bytes(key.to_private_pem())
    Path(f"{name}.pub.pem").write_bytes(key.to_pem())


@pytest.fixture
def package(smpdfu: Call, keys: Path) -> Path:
    """A package of both cores, signed and sealed."""
    done = smpdfu("package", built(STAGED), "-k", "sign.pem", "--nsib-key", "nsib.pem", "-o", "out")
    assert done.code == 0, done.err
    return keys / "out" / "dfu_application.zip"


def test_each_image_is_judged_with_its_seal(smpdfu: Call, package: Path) -> None:
    words = ("verify", package, "-k", "sign.pub.pem", "--net-key", "nsib.pub.pem", "--release", "--require-all-checks")
    done = smpdfu(*words, "--json")
    assert done.code == 0, done.err
    said = done.document
    assert (said["verdict"], said["accepted"], said["signature_checked"]) == ("accepted", True, True)
    app, net = said["images"]
    assert (app["file"], app["seal"], net["file"]) == ("smp_app.signed.bin", None, "ipc_radio.bin")
    assert (net["key"], net["seal"]["loader"], net["seal"]["key"]) == ("sign.pub.pem", "b0n", 1)
    shown = smpdfu(*words)
    assert shown.out.count("accepted") == 3, "both images, and the seal"
    assert "ipc_radio.bin" in shown.out


@pytest.mark.parametrize(
    ("option", "s0", "wrong"),
    [
        ("--net-key", "0x8000", "no provisioning data for b0n: its slot S0, at 0x00008000, is in the flash of the app"),
        (
            "--b0-key",
            "0x1008800",
            "no provisioning data for b0: its slot S0, at 0x01008800, is in the flash of the net",
        ),
    ],
)
def test_the_provisioning_file_of_the_other_core_is_refused(
    option: str, s0: str, wrong: str, smpdfu: Call, package: Path
) -> None:
    for name, slot in (("wrong", s0), ("right", "0x1008800" if option == "--net-key" else "0x8000")):
        words = ("-o", f"{name}.hex", "--address", "0x1008580", "--s0", slot, "-k", "nsib.pub.pem")
        assert smpdfu("provision", "make", *words).code == 0
    for command in ("verify", "inspect"):
        assert smpdfu(command, package, option, "right.hex").code == 0
        assert wrong in " ".join(smpdfu(command, package, option, "wrong.hex").refused(3).split())
    to_none = ("--port", "/dev/nothing", option, "wrong.hex")
    assert wrong in " ".join(smpdfu("update", package, *to_none).refused(3).split())


def test_without_a_key_it_is_not_checked(smpdfu: Call, package: Path) -> None:
    done = smpdfu("verify", package, "--json")
    assert (done.code, done.document["verdict"], done.document["accepted"]) == (0, "not checked", True)
    assert "no key was given" in smpdfu("verify", package, "--require-all-checks").refused()
    assert "has no signature" not in smpdfu("verify", package, "-k", "sign.pub.pem", "--release").err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("-k", "other.pub.pem"), "smp_app.signed.bin in"),
        (("-k", "sign.pub.pem", "--net-key", "other.pub.pem"), "ipc_radio.bin in"),
    ],
)
def test_another_key_is_refused(smpdfu: Call, package: Path, words: tuple[str, ...], sentence: str) -> None:
    refused = smpdfu("verify", package, *words).refused()
    assert sentence in refused
    assert "would be refused" in refused


def test_the_whole_answer_is_given_also_if_an_image_is_refused(smpdfu: Call, package: Path) -> None:
    done = smpdfu("verify", package, "-k", "sign.pub.pem", "--net-key", "other.pub.pem", "--json")
    assert done.code == 3
    said: Any = done.document
    assert (said["verdict"], said["accepted"]) == ("refused", False)
    assert [one["verdict"] for one in said["images"]] == ["accepted", "refused"]
    assert [one["code"] for one in said["images"][1]["refusals"]] == ["seal"]


def test_a_changed_byte_of_an_image_is_noticed(smpdfu: Call, package: Path) -> None:
    found = Package.load(package)
    data = bytearray(package.read_bytes())
    net = found.images[1].data
    data[data.index(net) + len(net) // 2] ^= 1
    Path("changed.zip").write_bytes(data)
    assert smpdfu("verify", "changed.zip", "-k", "sign.pub.pem").code == 3


def test_mcuboots_own_package_is_judged_by_b0(smpdfu: Call, keys: Path) -> None:
    done = smpdfu("package", built(OWN), "-k", "sign.pem", "--nsib-key", "nsib.pem", "-o", "out")
    assert done.code == 0, done.err
    words = ("verify", "out/dfu_mcuboot.zip", "-k", "sign.pub.pem", "--b0-key")
    said = smpdfu(*words, "nsib.pub.pem", "--json").document
    assert [one["seal"]["loader"] for one in said["images"]] == ["b0", "b0"]
    assert "would be refused" in smpdfu(*words, "other.pub.pem").refused()
    warned = smpdfu("verify", "out/dfu_mcuboot.zip", "-k", "sign.pub.pem", "--net-key", "nsib.pub.pem")
    assert "--net-key does not apply: the package has no image for the network core" in warned.err


def test_an_encrypted_image_needs_the_devices_key_for_all_checks(smpdfu: Call, keys: Path) -> None:
    write(generate("ecdsa-p256"), "device")
    app = built(STAGED) / "smp_app" / "zephyr" / "zephyr.hex"
    done = smpdfu("package", "--app", app, "-v", "1.0.0", "-k", "sign.pem", "-E", "device.pub.pem", "-o", "out")
    assert done.code == 0, done.err
    words = ("verify", "out/dfu_application.zip", "-k", "sign.pub.pem")
    blind = smpdfu(*words, "--json")
    assert (blind.code, blind.document["verdict"], blind.document["accepted"]) == (0, "not checked", None)
    assert "was not fully checked" in smpdfu(*words, "--require-all-checks").refused()
    whole = smpdfu(*words, "--enc-key", "device.pem", "--require-all-checks", "--json")
    assert (whole.code, whole.document["verdict"]) == (0, "accepted"), whole.err


def test_public_keys_are_refused_for_a_release(smpdfu: Call, keys: Path) -> None:
    done = smpdfu("package", built(STAGED), "-k", signing_key(STAGED), "-o", "out")
    assert done.code == 0, done.err
    refused = smpdfu("verify", "out/dfu_application.zip", "-k", signing_key(STAGED), "--release").refused()
    assert "cannot be released" in refused


@pytest.mark.parametrize("kind", [STAGED, OWN])
def test_a_seal_by_a_public_key_is_refused_for_a_release(smpdfu: Call, keys: Path, kind: str) -> None:
    public = Path(__file__).parents[2] / "keys"
    words = ("-k", "sign.pem", "--nsib-key", public / "dev-sign-p256.pem", "-o", "out")
    assert smpdfu("package", built(kind), *words).code == 0
    name = "dfu_mcuboot.zip" if kind == OWN else "dfu_application.zip"
    option = "--b0-key" if kind == OWN else "--net-key"
    image = Package.load(Path("out") / name).images[1]
    Path("one.bin").write_bytes(image.data)
    for file in (f"out/{name}", "one.bin"):
        check = ("verify", file, "-k", "sign.pub.pem", option, public / "dev-sign-p256.pub.pem")
        warned = smpdfu(*check)
        assert warned.code == 0
        assert "is made with smpdfu's development key dev-sign-p256: anybody can seal with it" in warned.err
        assert "anybody can seal with it, so it cannot be released" in smpdfu(*check, "--release").refused()


def test_options_of_a_slot_are_for_an_image(smpdfu: Call, package: Path) -> None:
    assert "are for a single image" in smpdfu("verify", package, "--slot-size", "0x1000").refused(2)
    assert "are for a single image" in smpdfu("verify", package, "--current-version", "1.0.0").refused(2)
