"""``fleet run`` on a terminal: the passphrase of a key is asked for before the table of the devices is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from smpdfu.dfu.package.images import Core
from smpdfu.image.keys.keys import PrivateKey
from tests.cli.device.conftest import Desk, new_desk
from tests.cli.test_cli_cut_off import Terminal

if TYPE_CHECKING:
    from tests.cli.conftest import Call

SECRET = "correct horse"


def test_a_passphrase_is_asked_before_the_table_is_drawn(
    smpdfu: Call, tmp_path: Path, trusted: tuple[PrivateKey, PrivateKey]
) -> None:
    desk = new_desk(Desk(smpdfu, "roof", tmp_path, *trusted), "nrf5340dk-staged")
    for number in range(2):
        (tmp_path / f"key{number}.pem").write_bytes(trusted[0].to_private_pem(SECRET.encode()))
    file = tmp_path / "roofs.toml"
    file.write_text(
        f'[fleet]\n[update]\nboot_timeout_s = 3\ntrust = ["key1.pem"]\n'
        f'[packages]\ndefault = "{desk.package(cores=(Core.APP,)).name}"\n[[device]]\naddress = "{desk.address}"\n'
    )
    terminal = Terminal("fleet", "run", file, "--trust", tmp_path / "key0.pem")
    for number in range(2):
        terminal.expect(f"key{number}.pem: ")
        shown, terminal.text = terminal.text, ""
        assert "\x1b[" not in shown, "nothing is drawn before the last question was answered"
        terminal.type(f"{SECRET}\n")
    assert terminal.end() == 0
    assert "\x1b[?25l" in terminal.text, "the table is drawn from then on"
    assert SECRET not in terminal.text
