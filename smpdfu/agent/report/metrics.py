"""Metrics of an agent for Prometheus, by the extra ``smpdfu[metrics]``.

The names and labels are documented in docs/gateways.md. They have no device's name, so that their number stays small.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from smpdfu.agent.actions.events import (
    ActionEnded,
    AgentEvent,
    FeedbackGivenUp,
    FeedbackKept,
    FeedbackSent,
    PackageReady,
    Polled,
    PollFailed,
    Unexpected,
)
from smpdfu.agent.report.metrics_server import serving
from smpdfu.agent.report.status import DevicePhase, DeviceStatus
from smpdfu.errors import AgentFileError

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from smpdfu.agent.description.file import Listener

MISSING = (
    "'listen' in [metrics] needs prometheus-client, which is not installed. Install it: pip install 'smpdfu[metrics]'"
)


class AgentMetrics:
    """Counts the events of an agent. ``devices`` are their statuses, ``clock`` gives seconds since 1970."""

    def __init__(
        self, devices: Mapping[str, DeviceStatus], *, gateway: str, version: str, clock: Callable[[], float]
    ) -> None:
        self._devices = devices
        self._about = {"gateway": gateway, "version": version}
        self._clock = clock
        self._last_good: float | None = None
        self._polls = self._downloaded = self._kept = self._given_up = self._defects = 0
        self._poll_errors: Counter[str] = Counter()
        self._actions: Counter[str] = Counter()
        self._feedback: Counter[str] = Counter()

    def __call__(self, event: AgentEvent) -> None:
        """Count an event."""
        match event:
            case Polled():
                self._polls += 1
                self._last_good = self._clock()
            case PollFailed(status=status):
                self._polls += 1
                self._poll_errors[str(status) if status else "no answer"] += 1
            case PackageReady(fetched=fetched):
                self._downloaded += fetched
            case ActionEnded(outcome=outcome):
                self._actions[str(outcome)] += 1
            case FeedbackSent(execution=execution):
                self._feedback[execution] += 1
            case FeedbackKept():
                self._kept += 1
            case FeedbackGivenUp():
                self._given_up += 1
            case Unexpected():
                self._defects += 1
            case _:
                pass

    def collect(self) -> Iterator[Metric]:
        """Return the metrics now; prometheus-client calls this in a thread of its own."""
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

        phases = Counter(one.phase for one in list(self._devices.values()))
        yield InfoMetricFamily("smpdfu_agent", "This gateway and its release of smpdfu", self._about)
        devices = GaugeMetricFamily("smpdfu_agent_devices", "Devices by phase", labels=["phase"])
        for phase in DevicePhase:
            devices.add_metric([phase], phases[phase])
        yield devices
        running = "smpdfu_agent_installations_running"
        yield GaugeMetricFamily(running, "Installations under way", phases[DevicePhase.INSTALLING])
        yield CounterMetricFamily("smpdfu_agent_polls", "Requests for news of a device", self._polls)
        for name, text, label, counts in (
            ("poll_errors", "Polls without a good answer, by HTTP status", "status", self._poll_errors),
            ("actions", "Actions that ended, by outcome", "outcome", self._actions),
            ("feedback", "Feedback that the server took, by execution", "execution", self._feedback),
        ):
            family = CounterMetricFamily(f"smpdfu_agent_{name}", text, labels=[label])
            for value, count in sorted(counts.items()):
                family.add_metric([value], count)
            yield family
        yield CounterMetricFamily("smpdfu_agent_feedback_kept", "Feedback that has to be sent again", self._kept)
        given_up = "Results that the server refuses, and that are not sent again"
        yield CounterMetricFamily("smpdfu_agent_feedback_given_up", given_up, self._given_up)
        yield CounterMetricFamily("smpdfu_agent_downloaded_bytes", "Bytes from the server", self._downloaded)
        yield CounterMetricFamily("smpdfu_agent_defects", "Errors that smpdfu does not know", self._defects)
        if self._last_good is not None:
            seconds = max(self._clock() - self._last_good, 0.0)
            name = "smpdfu_agent_seconds_since_good_poll"
            yield GaugeMetricFamily(name, "Seconds since the server last answered a poll well", seconds)


def check_installed() -> None:
    """Raise AgentFileError if prometheus-client is not installed."""
    try:
        import prometheus_client  # noqa: F401  # here: an optional extra
    except ImportError as error:
        raise AgentFileError(MISSING) from error


@contextmanager
def served(metrics: AgentMetrics, at: Listener) -> Iterator[None]:
    """Serve the metrics at an address while inside. Raises AgentFileError if that cannot be done."""
    check_installed()
    from prometheus_client import CollectorRegistry, make_wsgi_app

    registry: Any = CollectorRegistry()
    registry.register(metrics)
    with ExitStack() as stack:
        try:
            stack.enter_context(serving(at.host, at.port, make_wsgi_app(registry)))
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that no host can have
            why = "there is no such name" if isinstance(error, UnicodeError) else error.strerror or str(error)
            raise AgentFileError(f"the metrics cannot be served at {at.host}:{at.port} ([metrics]): {why}") from error
        yield
