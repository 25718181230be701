"""``smpdfu virtual new``: whose loader a device has, and how it was built."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys

ROWS = [
    ((), "NCS 3.5", "pm", "none"),
    (("--ncs", "2.3"), "NCS 2.3", "pm", "none"),
    (("--ncs", "2.5"), "NCS 2.5", "pm", "none"),
    (("--ncs", "2.8", "--layout", "nrf5340dk-simultaneous"), "NCS 2.8", "pm", "vector"),
    (("--ncs", "3.2", "--check-address", "header"), "NCS 3.2", "pm", "header"),
    (("--ncs", "3.4.0", "--partitions", "dts"), "NCS 3.4.0", "dts", "header"),
    (("--ncs", "3.4.1", "--partitions", "dts", "--check-address", "none"), "NCS 3.4.1", "dts", "none"),
    (("--ncs", "latest", "--partitions", "dts", "--xip-split"), "NCS 3.5", "dts", "none"),
    (("--ncs", "3.4.1", "--partitions", "dts", "--net-cid", "00" * 16), "NCS 3.4.1", "dts", "none"),
    (("--ncs", "upstream"), "upstream MCUboot", "pm", "none"),
    (("--ncs", "upstream-2.1", "--mode", "overwrite-only"), "upstream MCUboot until 2.1", "pm", "none"),
    (("--layout", "nrf5340dk-simultaneous", "--mode", "swap-move"), "NCS 3.5", "pm", "none"),
]


@pytest.mark.parametrize(("options", "bootloader", "partitions", "check"), ROWS, ids=lambda one: " ".join(one)[:60])
def test_a_device_has_the_loader_that_is_asked_for(
    smpdfu: Call, keys: Keys, options: tuple[str, ...], bootloader: str, partitions: str, check: str
) -> None:
    made = smpdfu("virtual", "new", "desk", "--key", keys.signing_public, *options, "--json")
    assert made.code == 0, made.err
    shown = json.loads(smpdfu("virtual", "show", "desk", "--json").out)
    assert shown == json.loads(made.out)
    assert (shown["bootloader"], shown["partitions"], shown["address_check"]) == (bootloader, partitions, check)
    text = smpdfu("virtual", "show", "desk").out
    assert bootloader in text
    assert ("devicetree partitions" if partitions == "dts" else "Partition Manager") in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--ncs", "3.4"), "3.4.0 or 3.4.1"),
        (("--ncs", "1.9"), "is not known here"),
        (("--ncs", "new"), "is no release"),
        (("--ncs", "3.2", "--partitions", "dts"), "by the Partition Manager only"),
        (("--ncs", "2.9", "--layout", "nrf5340dk-staged-offset"), "has no swap using offset"),
        (("--ncs", "3.1", "--check-address", "header"), "cannot check the load address in the header"),
        (("--ncs", "3.3", "--app-cid", "00" * 16), "does not go by class UUIDs"),
        (("--app-cid", "a name"), "--app-cid"),
        (("--b0n", "asks"), "--b0n"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, tuple) else "",
)
def test_what_no_build_has_is_refused(smpdfu: Call, keys: Keys, options: tuple[str, ...], words: str) -> None:
    refused = smpdfu("virtual", "new", "desk", "--key", keys.signing_public, *options)
    assert refused.code == 2
    assert words in " ".join(refused.err.split())
    assert json.loads(smpdfu("virtual", "list", "--json").out)["devices"] == []


@pytest.mark.parametrize(("ncs", "banner"), [("2.5", ""), ("2.7", "v2.1.0-dev-daf2946a0f07"), ("3.4.1", "v2.3.0-dev")])
def test_the_console_begins_as_that_of_the_release(smpdfu: Call, keys: Keys, ncs: str, banner: str) -> None:
    smpdfu("virtual", "new", "desk", "--key", keys.signing_public, "--ncs", ncs)
    lines = smpdfu("virtual", "log", "desk").out.splitlines()
    if banner:
        assert lines[0].startswith(f"*** Booting MCUboot {banner}")
        assert lines[1].startswith(f"*** Using nRF Connect SDK v{ncs}")
    assert lines[2 if banner else 0] == "I: Starting bootloader"
