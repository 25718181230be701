"""What the stand-in does with an order of an operator or a word of a device, as hawkBit 1.x does.

Read in eclipse-hawkbit/hawkbit (2026-08), ``JpaControllerManagement``, ``JpaDeploymentManagement``,
``JpaConfirmationManagement``, and compared with the real server by tests/agent/servers/test_servers.py.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tests.agent.servers.stand_in.rollouts import follow, start
from tests.agent.servers.stand_in.state import (
    Action,
    Artifact,
    DistributionSet,
    Module,
    Rollout,
    Status,
    Target,
    Window,
    now_ms,
)

T = TypeVar("T")

SERVER = "Update Server: "
ATTRIBUTE = re.compile(r"[a-zA-Z0-9_\-!@#$%^&*()+=\[\]{}|;:'\",.<>/\\?\s]{0,128}")
STATUSES_MAX = 1000
MESSAGES_MAX = 50
MESSAGE_MAX = 512
FINAL = frozenset({"finished", "error"})


class RefusedError(Exception):
    """The request cannot be carried out: an HTTP status."""

    def __init__(self, status: int, words: str = "") -> None:
        super().__init__(words or str(status))
        self.status = status


@dataclass
class Repository:
    """All that one tenant of the server keeps."""

    targets: dict[str, Target] = field(default_factory=dict)
    modules: dict[int, Module] = field(default_factory=dict)
    sets: dict[int, DistributionSet] = field(default_factory=dict)
    actions: dict[int, Action] = field(default_factory=dict)
    rollouts: dict[int, Rollout] = field(default_factory=dict)
    config: dict[str, Any] = field(
        default_factory=lambda: {
            "authentication.gatewaytoken.enabled": False,
            "authentication.gatewaytoken.key": "",
            "authentication.targettoken.enabled": False,
            "pollingTime": "00:05:00",
            "user.confirmation.flow.enabled": False,
            "repository.actions.autoclose.enabled": False,
        }
    )
    statuses_max: int = STATUSES_MAX
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def number(self) -> int:
        """A number that nothing else has."""
        return next(self._numbers)

    # --- targets and software ----------------------------------------------------------------------------------------

    def target(self, controller_id: str) -> Target:
        """A known target; 404 otherwise."""
        found = self.targets.get(controller_id)
        if found is None:
            raise RefusedError(404, f"no target {controller_id}")
        return found

    def polled(self, controller_id: str) -> Target:
        """The target that asks, registered if it is unknown."""
        if controller_id not in self.targets:
            self.add_target(controller_id)
        found = self.targets[controller_id]
        found.polled_ms = now_ms()
        if found.update_status == "unknown":
            found.update_status = "registered"
        return found

    def add_target(self, controller_id: str, name: str = "", token: str = "") -> Target:
        """Create one."""
        if controller_id in self.targets:
            raise RefusedError(409, "the target exists")
        # The name of a target that registers itself is its id, and a name has at most 128 characters.
        if not 0 < len(controller_id) <= (256 if name else 128) or re.search(r"\s", controller_id):
            raise RefusedError(400, "controllerId has 1 to 256 characters, and no white space")
        target = Target(controller_id, name or controller_id)
        if token:
            target.token = token
        self.targets[controller_id] = target
        return target

    def set_attributes(self, controller_id: str, mode: str, data: dict[str, str | None]) -> None:
        """What the device says of itself."""
        target = self.target(controller_id)
        if any(not ATTRIBUTE.fullmatch(key) or not ATTRIBUTE.fullmatch(value or "") for key, value in data.items()):
            raise RefusedError(400, "an attribute is too long or has characters that are not allowed")
        if mode == "remove":
            kept = {key: value for key, value in target.attributes.items() if key not in data}
        else:
            merged: dict[str, str | None] = {**({} if mode == "replace" else target.attributes), **data}
            kept = {key: value for key, value in merged.items() if value is not None}
        target.attributes = kept
        target.wants_attributes = False

    def add_module(self, name: str, version: str, kind: str) -> Module:
        """Create a software module."""
        if any((one.name, one.version, one.kind) == (name, version, kind) for one in self.modules.values()):
            raise RefusedError(409, "the software module exists")
        module = Module(self.number(), name, version, kind)
        self.modules[module.number] = module
        return module

    def add_artifact(self, module: int, filename: str, data: bytes) -> Artifact:
        """Put a file into a software module."""
        found = self.one(self.modules, module)
        if filename in found.artifacts:
            raise RefusedError(409, "the artifact exists")
        artifact = found.artifacts[filename] = Artifact(self.number(), filename, data)
        return artifact

    def add_set(self, name: str, version: str, modules: Sequence[int], kind: str = "") -> DistributionSet:
        """Create a distribution set."""
        if any((one.name, one.version) == (name, version) for one in self.sets.values()):
            raise RefusedError(409, "the distribution set exists")
        parts = [self.one(self.modules, number) for number in modules]
        made = DistributionSet(self.number(), name, version, parts, kind)
        self.sets[made.number] = made
        return made

    @staticmethod
    def one(among: dict[int, T], number: int) -> T:
        """What has a number; 404 if nothing has it."""
        if number not in among:
            raise RefusedError(404, f"nothing has the number {number}")
        return among[number]

    # --- actions -----------------------------------------------------------------------------------------------------

    def assign(
        self,
        controller_id: str,
        ds: DistributionSet,
        kind: str,
        *,
        window: Window | None = None,
        force_at_ms: int = 0,
        confirm: bool = True,
        rollout: Rollout | None = None,
    ) -> Action | None:
        """A new action; nothing if the target has the distribution set already. Older actions are told to stop."""
        target = self.target(controller_id)
        if window is not None and window.is_over():
            raise RefusedError(400, "the maintenance window has passed")
        if target.assigned is ds:
            return None
        for older in target.actions:
            if older.active and self.config["repository.actions.autoclose.enabled"]:
                self._end(older, "canceled", "close obsolete action due to new update")
            elif older.active and not older.is_canceling:
                older.status = "canceling"
                self.note(older, "canceling", [SERVER + "cancel obsolete action due to new update"])
        action = Action(self.number(), target, ds, kind, window=window, force_at_ms=force_at_ms, rollout=rollout)
        if self.config["user.confirmation.flow.enabled"] and confirm and not target.auto_confirm:
            action.status = "wait_for_confirmation"
        self.actions[action.number] = action
        target.actions.append(action)
        target.assigned, target.update_status = ds, "pending"
        self.note(action, action.status, ["Assignment initiated by user 'admin'"])
        return action

    def note(self, action: Action, kind: str, messages: list[str], code: int | None = None) -> None:
        """One more entry in an action's history; long messages become several."""
        parts = [one[at : at + MESSAGE_MAX] for one in messages for at in range(0, len(one), MESSAGE_MAX)]
        action.history.append(Status(self.number(), kind, parts, code))

    def retrieved(self, action: Action, what: str) -> None:
        """The device read of the action: noted once in a row."""
        if not action.history or action.history[-1].kind != "retrieved":
            self.note(action, "retrieved", [SERVER + what])
            if not action.is_canceling:  # also one that ended: hawkBit forgets how
                action.status = "retrieved"

    def _end(self, action: Action, status: str, message: str) -> None:
        action.status, action.active = status, False
        self.note(action, status, [SERVER + message])

    def cancel(self, action: Action, *, force: bool = False) -> None:
        """An operator's cancellation: the device is asked, or with ``force`` the action is over at once."""
        if not action.active or (action.is_canceling is not force):
            raise RefusedError(405, "the action cannot be cancelled")
        if force:
            self._end(action, "canceled", "A force quit has been performed.")
            self._back_to_installed(action)
            return
        action.status = "canceling"
        self.note(action, "canceling", [SERVER + "manual cancelation requested"])

    def cancel_if_lapsed(self, action: Action | None) -> None:
        """An action whose maintenance window has passed is cancelled."""
        if action is not None and action.window is not None and action.window.is_over() and not action.is_canceling:
            action.status = "canceling"
            self.note(action, "canceling", ["manual cancelation requested"])

    def feedback(self, action: Action, kind: str, messages: list[str], code: int | None) -> None:
        """A device's word of an action that is not over."""
        self._within_quota(action, kind, messages)
        self.note(action, kind, messages, code)
        action.code = code
        target = action.target
        if kind == "error":
            action.active, action.status = False, "error"
            target.update_status, target.assigned = "error", None
        elif kind == "finished":
            action.active, action.status = False, "finished"
            target.installed, target.wants_attributes = action.ds, True
            if action.kind == "downloadonly":
                target.assigned = action.ds
            if target.assigned is action.ds:
                target.update_status = "in_sync"
        elif kind == "downloaded" and action.kind == "downloadonly":
            action.active, action.status = False, "downloaded"
            target.update_status, target.wants_attributes = "in_sync", True
        self.evaluate()

    def _within_quota(self, action: Action, kind: str, messages: list[str]) -> None:
        if kind not in FINAL and len(action.history) >= self.statuses_max:
            raise RefusedError(429, "too many statuses of this action")
        if len(messages) > MESSAGES_MAX:
            raise RefusedError(429, "too many messages in this status")

    def cancel_feedback(self, action: Action, kind: str, messages: list[str], code: int | None) -> None:
        """A device's answer to a cancellation."""
        if not action.is_canceling:
            raise RefusedError(405, "the action is not being cancelled")
        if kind in ("canceled", "finished"):
            action.active, action.status = False, "canceled"
            messages = [*messages, SERVER + "Cancellation completion is finished successfully."]
            self._back_to_installed(action)
        elif kind in ("error", "cancel_rejected"):
            action.status = "running"
        else:
            self._within_quota(action, kind, messages)
        self.note(action, kind, messages, code)
        self.evaluate()

    def _back_to_installed(self, action: Action) -> None:
        target = action.target
        newer = target.active_action()
        if newer is None:
            target.assigned = target.installed
            target.update_status = "in_sync"
        else:
            target.assigned = newer.ds

    def confirm(self, action: Action, *, confirmed: bool, messages: list[str], code: int | None) -> None:
        """The device's or its owner's word whether an action may begin."""
        if not action.active:
            raise RefusedError(410, "the action is over")
        if action.status != "wait_for_confirmation" and (confirmed or action.is_canceling):
            raise RefusedError(404, "the action does not wait for confirmation")
        action.status = "running" if confirmed else "wait_for_confirmation"
        self.note(action, action.status, messages, code)

    # --- rollouts ----------------------------------------------------------------------------------------------------

    def start(self, rollout: Rollout) -> None:
        """Start the first group."""
        if rollout.status != "ready":
            raise RefusedError(400, "the rollout is not ready")
        start(self, rollout)

    def evaluate(self) -> None:
        """Take every rollout one step on, as hawkBit's scheduler does every two seconds."""
        for rollout in self.rollouts.values():
            follow(self, rollout)
