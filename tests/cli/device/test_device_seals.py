"""``--net-key``: a network image with another seal is refused before the first byte, and the right one is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from intelhex import IntelHex

from smpdfu.dfu.package.images import Core
from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.nsib.provision import provision_for
from tests.cli.device.preflight_bench import SIMULTANEOUS, STAGED, Bench, Built
from tests.dfu.conftest import Maker

if TYPE_CHECKING:
    from tests.cli.conftest import Call

OLD, NEW = ("1.0.0", "1.0.0"), ("2.0.0", "2.0.0")
NET_START = 0x0100_8800


@pytest.fixture(params=[STAGED, SIMULTANEOUS])
def bench(request: pytest.FixtureRequest, smpdfu: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A device whose b0n trusts ``stranger``."""
    keys = Maker(generate("ecdsa-p256"), generate("ecdsa-p256"))
    built = Built(request.param, net_key=True)
    made = Bench(smpdfu, tmp_path, keys, built, monkeypatch, generate("ecdsa-p256"))
    made.start()
    return made


def public(bench: Bench, key: PrivateKey, name: str) -> Path:
    path = bench.folder / f"{name}.pub.pem"
    path.write_bytes(key.public.to_pem())
    return path


def provision(bench: Bench, *keys: PrivateKey, s0: int = NET_START) -> Path:
    """What a build writes for b0n: ``net_provision.hex``."""
    data = provision_for(s0, None, [key.public for key in keys]).to_bytes()
    memory = IntelHex()
    memory.puts(0x0100_8580, data)
    path = bench.folder / "net_provision.hex"
    memory.write_hex_file(str(path))
    return path


def package(bench: Bench, seal: PrivateKey | None) -> Path:
    return bench.package(bench.image(), bench.image(Core.NET, seal=seal))


def test_the_right_seal_is_installed(bench: Bench) -> None:
    key = public(bench, bench.stranger, "net")
    done = bench.call("update", package(bench, bench.stranger), "--net-key", key)
    assert (done.code, bench.runs()) == (0, NEW), done.err
    assert "did not check whether b0n" not in done.err
    assert "only b0n" not in done.err


@pytest.mark.parametrize("sealed", [True, False], ids=["another key", "no seal"])
def test_a_wrong_seal_is_refused_before_the_first_byte(bench: Bench, sealed: bool) -> None:
    key, before = public(bench, bench.stranger, "net"), bench.flash()
    file = package(bench, bench.keys.key if sealed else None)
    planned = bench.call("update", file, "--plan", "--json", "--net-key", key)
    assert planned.code == 6
    assert [one["code"] for one in planned.document["findings"] if one["severity"] == "error"] == ["seal"]
    done = bench.call("update", file, "--net-key", key)
    assert done.code == 6, done.err
    assert bench.flash() == before
    assert bench.runs() == OLD


def test_upload_refuses_it_too(bench: Bench) -> None:
    key, before = public(bench, bench.stranger, "net"), bench.flash()
    wrong = bench.file(bench.image(Core.NET, seal=bench.keys.key))
    words = ("-n", "1") if bench.built.layout == SIMULTANEOUS else ()
    done = bench.call("upload", wrong, "--confirm", "--net-key", key, *words)
    assert (done.code, bench.flash()) == (6, before), done.err
    right = bench.file(bench.image(Core.NET))
    done = bench.call("upload", right, "--confirm", "--net-key", key, *words)
    assert (done.code, bench.runs()) == (0, ("1.0.0", "2.0.0")), done.err


def test_an_upload_says_that_the_key_of_the_seal_is_not_known(bench: Bench) -> None:
    """Where b0n refuses the image, it may block its slot: the same words as before an update."""
    words = ("-n", "1") if bench.built.layout == SIMULTANEOUS else ()
    said = "only b0n, the network" if bench.built.layout == SIMULTANEOUS else "did not check whether b0n trusts the key"
    image = bench.file(bench.image(Core.NET))
    key = ("--net-key", public(bench, bench.stranger, "net"))
    for options, expected in (((), True), (key, False), (("--test",), True)):
        done = bench.call("upload", image, *options, *words)
        assert (done.code, said in " ".join(done.err.split())) == (0, expected), done.err


def test_serial_recovery_checks_the_seal(bench: Bench) -> None:
    assert bench.call("reset", "--boot-mode", 1, "--no-wait").code == 0
    done = bench.call("upload", bench.file(bench.image(Core.NET, seal=None)), "--recovery")
    assert (done.code, "has no seal for b0n" in " ".join(done.err.split())) == (0, True), done.err
    broken = bench.file(bench.image(Core.NET, breaks=1000))
    before = bench.flash()
    done = bench.call("upload", broken, "--recovery")
    assert (done.code, bench.flash()) == (6, before), done.err
    assert bench.call("upload", broken, "--recovery", "--force").code in (0, 4)


def test_a_provisioning_file_names_the_keys_in_their_order(bench: Bench) -> None:
    first, before = generate("ecdsa-p256"), bench.flash()
    keys = provision(bench, first, bench.stranger)
    done = bench.call("update", package(bench, bench.keys.key), "--net-key", keys)
    assert (done.code, bench.flash()) == (6, before), done.err
    done = bench.call("update", package(bench, bench.stranger), "--net-key", keys)
    assert (done.code, bench.runs()) == (0, NEW), done.err
    assert "key 2 of 2" in " ".join(done.err.split())


def test_the_provisioning_file_of_the_other_core_is_refused(bench: Bench) -> None:
    keys, before = provision(bench, bench.stranger, s0=0x8000), bench.flash()
    done = bench.call("update", package(bench, bench.stranger), "--net-key", keys)
    assert (done.code, bench.flash()) == (3, before), done.err
    assert "is in the flash of the application core" in " ".join(done.err.split())
    fleet = bench.folder / "roofs.toml"
    text = f'[update]\nnet_keys = ["{keys.name}"]\n[packages]\ndefault = "package.zip"\n'
    fleet.write_text(f'{text}\n[[device]]\nname = "desk"\naddress = "virtual:desk"\n')
    done = bench.run("fleet", "run", fleet)
    assert (done.code, bench.flash()) == (3, before), done.err
    assert "is in the flash of the application core" in " ".join(done.err.split())


def test_verify_and_inspect_say_who_sealed_it(bench: Bench) -> None:
    image = bench.file(bench.image(Core.NET))
    right, wrong = public(bench, bench.stranger, "net"), public(bench, bench.keys.key, "wrong")
    assert bench.run("verify", image).code == 0
    accepted = bench.run("verify", image, "--net-key", wrong, "--net-key", right, "--json")
    assert accepted.code == 0, accepted.err
    assert (accepted.document["seal"]["key"], accepted.document["seal"]["keys"]) == (2, 2)
    assert "revokes-keys" in [one["code"] for one in accepted.document["warnings"]]
    refused = bench.run("verify", image, "--net-key", wrong, "--json")
    assert (refused.code, [one["code"] for one in json.loads(refused.out)["refusals"]]) == (3, ["seal"])
    app = bench.run("verify", bench.file(bench.image()), "--net-key", right)
    assert (app.code, "does not apply" in app.err) == (0, True)
    shown = bench.run("inspect", package(bench, bench.stranger), "--net-key", right)
    assert "accepted by b0n: key 1 of 1" in " ".join(shown.out.split())
    data = bench.run("inspect", image, "--net-key", wrong, "--json").document["seal"]
    assert (data["key_checked"], data["key"]) == (True, None)
    assert "does not have" in data["refused"]


@pytest.mark.parametrize("by_file", [True, False], ids=["fleet.toml", "--net-key"])
def test_a_fleet_is_not_begun(bench: Bench, by_file: bool) -> None:
    key, before = public(bench, bench.stranger, "net"), bench.flash()
    package(bench, bench.keys.key)
    fleet = bench.folder / "roofs.toml"
    update = f'[update]\nnet_keys = ["{key.name}"]\n' if by_file else ""
    text = '[packages]\ndefault = "package.zip"\n\n[[device]]\nname = "desk"\naddress = "virtual:desk"\n'
    fleet.write_text(update + text)
    words = () if by_file else ("--net-key", key)
    done = bench.run("fleet", "run", fleet, *words)
    assert (done.code, bench.flash()) == (6, before), done.err
    assert "seal" in done.err
