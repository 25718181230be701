"""What Ctrl-C says in each part of a sending is true there."""

from __future__ import annotations

import pytest

from smpdfu.cli.securedfu.send import Reporter
from smpdfu.cli.terminal import interruption
from smpdfu.cli.terminal.show import Output
from smpdfu.securedfu.protocol.actions import TransferProgress
from smpdfu.securedfu.send.session import SecureDfuPartBegins, SecureDfuProgress, SecureDfuRestarts


@pytest.fixture(autouse=True)
def own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "_words", [interruption.AGAIN])


def test_the_same_command_is_not_promised_to_find_a_device_by_a_name_that_it_does_not_have() -> None:
    with Reporter(Output(json=True), events=False, by_name=True) as report:
        report(SecureDfuPartBegins("application", 1, 1, 8))
        assert "smpdfu scan" in interruption.words()
        report(SecureDfuProgress("application", TransferProgress(4, 8)))
        assert "smpdfu scan" in interruption.words()
        assert "Run the same command again" not in interruption.words()


def test_an_interruption_between_two_parts_does_not_claim_the_whole_package() -> None:
    with Reporter(Output(json=True), events=False) as report:
        report(SecureDfuPartBegins("softdevice_bootloader", 1, 2, 8))
        assert "perhaps with a part of the firmware" in interruption.words()
        report(SecureDfuProgress("softdevice_bootloader", TransferProgress(4, 8)))
        assert "with a part of the firmware" in interruption.words()
        report(SecureDfuRestarts("softdevice_bootloader", 5.0))
        assert "has softdevice_bootloader and installs it" in interruption.words()
        assert "The rest of the package is not sent" in interruption.words()
        report(SecureDfuPartBegins("application", 2, 2, 8))
        report(SecureDfuRestarts("application", 5.0))
        assert "has all of the firmware" in interruption.words()
