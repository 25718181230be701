"""Every finding of preflight: a real package and a virtual device that lead to it, through ``smpdfu update``.

For each: what is said, the exit code, that nothing was written; and what becomes of the device with ``--force``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.decide.checks.demands import UNTRUSTED
from smpdfu.dfu.decide.checks.findings import FINAL, SOURCES
from smpdfu.dfu.package.images import Core
from smpdfu.image.format import Dependency, Version
from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.verification.verdict import Code
from tests.cli.device.preflight_bench import SIMULTANEOUS, STAGED, Bench, Built
from tests.cli.device.preflight_mcuboot_rows import MCUBOOT_ROWS
from tests.cli.device.preflight_mode_rows import MODE_ROWS
from tests.cli.device.preflight_replacing_rows import REPLACING_ROWS
from tests.cli.device.preflight_rows import ERROR, NET_ONLY, NEW, NOTE, OFFSET, OLD, OVERWRITE, ROWS, SCRATCH, Row, both
from tests.dfu.conftest import Maker

ALL_ROWS = (*ROWS, *MODE_ROWS, *REPLACING_ROWS, *MCUBOOT_ROWS)

if TYPE_CHECKING:
    from tests.cli.conftest import Call


@pytest.fixture(scope="session")
def trusted_keys() -> tuple[Maker, PrivateKey]:
    return Maker(generate("ecdsa-p256"), generate("ecdsa-p256")), generate("ecdsa-p256")


@pytest.fixture
def bench(
    request: pytest.FixtureRequest,
    smpdfu: Call,
    tmp_path: Path,
    trusted_keys: tuple[Maker, PrivateKey],
    monkeypatch: pytest.MonkeyPatch,
) -> Bench:
    row: Row = request.param
    made = Bench(smpdfu, tmp_path, trusted_keys[0], row.built, monkeypatch, trusted_keys[1])
    made.more = {"trusts_both": True} if row.trusts_both else {}
    made.start()
    return made


@pytest.mark.parametrize(
    ("row", "bench"),
    [(row, row) for row in ALL_ROWS],
    indirect=["bench"],
    ids=[f"{row.code}-{row.severity}-{row.built.layout}-{row.forced}" for row in ALL_ROWS],
)
def test_finding(row: Row, bench: Bench) -> None:
    package = row.prepare(bench)
    refused = row.severity is ERROR
    before = bench.flash()
    planned = bench.call("update", package, "--plan", "--json", *row.arguments)
    assert planned.code == (6 if refused else 0), planned.err
    found = {one["code"]: one for one in planned.document["findings"]}
    assert found[row.code]["severity"] == row.severity, sorted(found)
    assert [code for code, one in found.items() if one["severity"] == ERROR] == ([row.code] if refused else [])
    assert bench.flash() == before
    done = bench.call("update", package, *row.arguments)
    assert found[row.code]["message"] in " ".join(done.err.split())
    if refused:
        assert done.code == 6, done.err
        assert bench.flash() == before
        done = bench.call("update", package, "--force", *row.arguments)
    assert (done.code, bench.runs()) == (row.forced, row.then), done.err


@pytest.mark.parametrize("bench", [Row("not-tied", NOTE, both(), 0, NEW, Built(SIMULTANEOUS))], indirect=True)
@pytest.mark.parametrize(("tied", "then"), [(False, NET_ONLY), (True, OLD)])
def test_a_reset_between_the_two_marks(bench: Bench, tied: bool, then: tuple[str, str]) -> None:
    """What "not-tied" is about: the network core's image is marked and its application's is not."""
    spec = {"dependencies": (Dependency(0, Version(2)),)} if tied else {}
    image = bench.image(Core.NET, spec=spec)
    bench.do("upload", bench.file(bench.image()))
    bench.do("upload", bench.file(image), "-n", "1", "--test")
    assert bench.runs() == then
    done = bench.call("update", bench.package(bench.image(), image))
    assert (done.code, bench.runs()) == (0, NEW), done.err
    assert ("does not ask for the application's new version" in done.err) is not tied


def test_every_finding_has_a_row() -> None:
    # These need keys, a slot's size or address, which preflight does not have or judges itself.
    elsewhere: set[str] = {
        Code.LOAD_ADDRESS,
        Code.NO_LOAD_ADDRESS,
        Code.UNKNOWN_KEY,
        Code.HASH_ONLY,
        Code.OTHER_SIGNATURE,
        Code.PURE_ENCRYPTED,
        Code.RESET_VECTOR,
    }
    # Of applications in two halves: test_dfu_preflight_modes, test_dfu_update_modes_failures.
    elsewhere |= {"half-erased", "confirm-denied"}
    # Of a bootloader that loads images into RAM: test_dfu_preflight_modes, test_dfu_one_image_modes.
    elsewhere |= {"no-ram-address"}
    # Of devices with more image pairs than the package: test_dfu_image_pairs.
    elsewhere |= {"pair-unused", "pair-taken"}
    # A wire that does not reach the bootloader, and names of Bluetooth: test_dfu_preflight_replacing.
    elsewhere |= {"recovery-wire", "loader-name"}
    elsewhere |= {Code.KEY_FORMAT, Code.SIGNATURE_FORM, Code.BYTE_ORDER}
    assert {row.code for row in ALL_ROWS} == (set(SOURCES) | set(Code)) - elsewhere
    final = FINAL - {UNTRUSTED, "recovery-wire"}  # that one is a person's demand, this one is tested elsewhere
    assert {row.code for row in ALL_ROWS if row.forced == 6} == final
    assert {row.built.layout for row in ROWS} >= {STAGED, OVERWRITE, OFFSET, SCRATCH, SIMULTANEOUS}


def test_every_finding_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "reference" / "findings.md").read_text("utf-8")
    told = {
        cell
        for line in text.splitlines()
        if line.startswith("| `")
        for cell in re.findall("`([a-z0-9-]+)`", line.split("|")[1])
    }
    assert told >= {row.code for row in ALL_ROWS}
