"""Places that every test may use."""

from __future__ import annotations

import signal
import sys
from collections import defaultdict
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.slow import SLOW_S, WANTED, is_slow

if TYPE_CHECKING:
    from tests.soft_token import SoftToken

# A shell that runs the tests in the background has Ctrl-C ignored, and nohup SIGHUP: what we start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# How long an example takes is the machine's affair.
settings.register_profile("smpdfu", deadline=None)
settings.load_profile("smpdfu")

ROOT = Path(__file__).parent.parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import the slow modules for ``-m "not slow"``: it takes as long as to run the others."""
    return True if config.option.markexpr == "not slow" and is_slow(collection_path) else None


@pytest.hookimpl(tryfirst=True)  # before the tests are selected by their markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of the modules in tests/slow.py the marker ``slow``."""
    for item in items:
        if is_slow(item.path):
            item.add_marker("slow")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how often the power was cut (tests/virtual/test_virtual_power_cuts.py), and which modules became slow."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    properties = (one for report in reports for one in getattr(report, "user_properties", ()))
    cuts = sum(number for name, number in properties if name == "power cuts")
    if cuts:
        terminalreporter.write_line(f"{cuts} power cuts during updates")
    if config.option.markexpr == "not slow":
        for module, seconds in _slow_modules(reports):
            terminalreporter.write_line(f"{module} took {seconds:.1f} s: add it to tests/slow.py, or make it faster")


def _slow_modules(reports: list[object]) -> list[tuple[str, float]]:
    """The modules whose tests took longer than ``SLOW_S`` in all, and how long."""
    took = defaultdict[str, float](float)
    for report in reports:
        if isinstance(report, pytest.TestReport):
            took[report.nodeid.partition("::")[0]] += report.duration
    return sorted((module, seconds) for module, seconds in took.items() if seconds > SLOW_S and module not in WANTED)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def keys_dir() -> Path:
    """The public development keys."""
    return ROOT / "keys"


@pytest.fixture(scope="session")
def sample_hex() -> Path:
    """Zephyr's hci_usb for the nRF5340 DK: one merged Intel HEX, from PyPI."""
    samples = pytest.importorskip("zephyr_4_4_0_hci_usb_nrf5340dk_default", reason="smpdfu[samples] is not installed")
    return Path(samples.HEX_PATH)


@pytest.fixture(scope="session")
def soft_token(tmp_path_factory: pytest.TempPathFactory) -> SoftToken:
    """A SoftHSM2 token with a key of each kind; the test is skipped where SoftHSM2 cannot be had."""
    make_token: Callable[[Path], SoftToken] = import_module("soft_token").make_token
    return make_token(tmp_path_factory.mktemp("soft-token"))


@pytest.fixture(autouse=True)
def _private_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own devices, journals or configuration."""
    monkeypatch.setenv("SMPDFU_VIRTUAL_HOME", str(tmp_path / "virtual-home"))
    monkeypatch.setenv("SMPDFU_STATE_HOME", str(tmp_path / "state-home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config-home"))
    monkeypatch.delenv("SMPDFU_TO", raising=False)
