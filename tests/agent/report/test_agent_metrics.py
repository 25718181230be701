"""The metrics of an agent, as Prometheus gets them over HTTP."""

from __future__ import annotations

import socket
import sys
import threading
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from smpdfu.agent.actions.events import (
    ActionEnded,
    FeedbackGivenUp,
    FeedbackKept,
    FeedbackSent,
    PackageReady,
    Polled,
    PollFailed,
    SentBytes,
    Unexpected,
)
from smpdfu.agent.description.file import Listener
from smpdfu.agent.report import metrics_server
from smpdfu.agent.report.metrics import AgentMetrics, check_installed, served
from smpdfu.agent.report.metrics_server import MAX_CLIENTS
from smpdfu.agent.report.status import DevicePhase, DeviceStatus
from smpdfu.dfu.fleet.device_outcome import Outcome
from smpdfu.errors import AgentFileError
from tests.deadlines import HANG_S


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def make(devices: Mapping[str, DeviceStatus], clock: Clock) -> AgentMetrics:
    return AgentMetrics(devices, gateway="b17", version="1.2.3", clock=clock)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def scrape(port: int) -> dict[tuple[str, tuple[str, ...]], float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=HANG_S) as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_prometheus_gets() -> None:
    clock = Clock()
    metrics = make(
        {"a": DeviceStatus(DevicePhase.INSTALLING), "b": DeviceStatus(DevicePhase.IDLE), "c": DeviceStatus()}, clock
    )
    for one in (
        Polled("a", False, 300.0),
        Polled("b", True, 300.0),
        PollFailed("a", 503, False, "busy", 60.0),
        PollFailed("b", 0, False, "no answer", 60.0),
        PackageReady("a", "1", "ab", 5000, "cd", "sha256"),
        SentBytes("a", "1", "upload app", 10, 20),
        ActionEnded("a", "1", Outcome.DONE, True, "", "", 3.0),
        FeedbackSent("a", "1", "closed", "success"),
        FeedbackKept("a", "1", "busy", 60.0),
        FeedbackGivenUp("a", "1", "refused"),
        Unexpected("a", "boom", "here"),
    ):
        metrics(one)
    clock.now += 12.0
    port = free_port()
    with served(metrics, Listener("127.0.0.1", port)):
        found = scrape(port)
    phases = {phase: found.pop(("smpdfu_agent_devices", (phase,))) for phase in DevicePhase}
    assert phases == {phase: int(phase in ("new", "idle", "installing")) for phase in DevicePhase}
    assert found == {
        ("smpdfu_agent_info", ("b17", "1.2.3")): 1,
        ("smpdfu_agent_installations_running", ()): 1,
        ("smpdfu_agent_polls_total", ()): 4,
        ("smpdfu_agent_poll_errors_total", ("503",)): 1,
        ("smpdfu_agent_poll_errors_total", ("no answer",)): 1,
        ("smpdfu_agent_actions_total", ("done",)): 1,
        ("smpdfu_agent_feedback_total", ("closed",)): 1,
        ("smpdfu_agent_feedback_kept_total", ()): 1,
        ("smpdfu_agent_feedback_given_up_total", ()): 1,
        ("smpdfu_agent_downloaded_bytes_total", ()): 5000,
        ("smpdfu_agent_defects_total", ()): 1,
        ("smpdfu_agent_seconds_since_good_poll", ()): 12,
    }


def test_before_the_first_poll_no_time_since_it_is_told() -> None:
    port = free_port()
    with served(make({}, Clock()), Listener("127.0.0.1", port)):
        assert "smpdfu_agent_seconds_since_good_poll" not in {name for name, _ in scrape(port)}


def test_the_port_is_free_again_afterwards_and_a_port_in_use_is_said() -> None:
    port = free_port()
    at = Listener("127.0.0.1", port)
    with served(make({}, Clock()), at):
        again = pytest.raises(AgentFileError, match=rf"cannot be served at 127.0.0.1:{port} .*: Address already in use")
        with again, served(make({}, Clock()), at):
            pass
    with served(make({}, Clock()), at):
        assert scrape(port)


@pytest.mark.parametrize("host", ["..", "a" * 64])
def test_a_name_that_no_host_can_have_is_said(host: str) -> None:
    with pytest.raises(AgentFileError, match="no such name"), served(make({}, Clock()), Listener(host, 9464)):
        pass


def test_without_the_extra_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    missing: Any = None
    monkeypatch.setitem(sys.modules, "prometheus_client", missing)
    with pytest.raises(AgentFileError, match=r"needs prometheus-client.*pip install 'smpdfu\[metrics\]'"):
        check_installed()


def test_who_connects_without_end_does_not_use_up_the_files_of_the_agent() -> None:
    """Connections that say nothing: so many are kept, one more is closed at once, and the agent can end."""
    port = free_port()
    with ExitStack() as stack:
        with served(make({}, Clock()), Listener("127.0.0.1", port)):
            for _ in range(MAX_CLIENTS):
                stack.enter_context(socket.create_connection(("127.0.0.1", port), HANG_S))
            for _ in range(3):
                with socket.create_connection(("127.0.0.1", port), HANG_S) as more:
                    assert more.recv(1) == b""
        assert threading.active_count() <= MAX_CLIENTS + 10


def test_a_silent_client_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server._Handler, "timeout", 0.05)
    port = free_port()
    with (
        served(make({}, Clock()), Listener("127.0.0.1", port)),
        socket.create_connection(("127.0.0.1", port), HANG_S) as silent,
    ):
        silent.sendall(b"GET /metrics HTTP/1.1\r\n")
        while silent.recv(4096):
            pass
        assert scrape(port)
