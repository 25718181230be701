"""An operator at hawkBit's management API (``/rest/v1``): the real server's, and the stand-in's."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from tests.agent.servers.values import (
    ActionFacts,
    Entry,
    GroupFacts,
    Kind,
    RolloutFacts,
    Software,
    Window,
)

ROLLOUT_READY_S = 60.0
PAGE = 500


class ManagementError(Exception):
    """The server refused an operator's order."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"{status}: {words}")
        self.status = status


class HawkbitServer:
    """A server with hawkBit's two interfaces; see ``UpdateServer``."""

    tenant = "DEFAULT"
    has_cancel = has_confirmation = has_windows = has_rollouts = has_history = True

    def __init__(self, name: str, url: str, *, user: str = "admin", password: str = "admin") -> None:
        self.name, self.url = name, url
        self._basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self._token = ""

    # --- requests ----------------------------------------------------------------------------------------------------

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One request; the JSON of the answer. Raises ManagementError."""
        data = None if body is None else json.dumps(body).encode()
        return self._send(method, path, data, "application/json")

    def _send(self, method: str, path: str, data: bytes | None, content_type: str) -> Any:
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        headers = {"Authorization": self._basic, "Accept": "application/json"}
        try:
            connection.request(method, "/rest/v1/" + path, data, {**headers, "Content-Type": content_type})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise ManagementError(answer.status, text.decode(errors="replace")[:500])
        return json.loads(text) if text else None

    def _content(self, path: str, **query: str) -> list[Any]:
        found: list[Any] = []
        while True:
            page = self.call("GET", f"{path}?{urlencode({**query, 'offset': len(found), 'limit': PAGE})}")
            found += page["content"]
            if not page["content"] or len(found) >= page["total"]:
                return found

    def configure(self, key: str, value: object) -> None:
        """Set a value of the tenant's configuration."""
        self.call("PUT", f"system/configs/{key}", {"value": value})

    # --- targets -----------------------------------------------------------------------------------------------------

    def gateway_token(self) -> str:
        """See ``UpdateServer``."""
        if not self._token:
            kept = self.call("GET", "system/configs/authentication.gatewaytoken.key")["value"]
            self._token = kept or secrets.token_hex(16)
            self.configure("authentication.gatewaytoken.key", self._token)
            self.configure("authentication.gatewaytoken.enabled", True)
            self.configure("authentication.targettoken.enabled", True)
        return self._token

    def add_target(self, controller_id: str) -> str:
        """See ``UpdateServer``."""
        self.gateway_token()
        made = self.call("POST", "targets", [{"controllerId": controller_id, "name": controller_id}])
        return str(made[0]["securityToken"])

    def delete_target(self, controller_id: str) -> None:
        """See ``UpdateServer``."""
        self.call("DELETE", _target(controller_id))

    def attributes(self, controller_id: str) -> dict[str, str]:
        """See ``UpdateServer``."""
        return dict(self.call("GET", _target(controller_id) + "/attributes") or {})

    def update_status(self, controller_id: str) -> str:
        """See ``UpdateServer``."""
        return str(self.call("GET", _target(controller_id))["updateStatus"])

    def installed(self, controller_id: str) -> str | None:
        """See ``UpdateServer``."""
        found = self.call("GET", _target(controller_id) + "/installedDS")
        return None if found is None else str(found["version"])

    def polling_time(self, time: str) -> None:
        """See ``UpdateServer``."""
        self.configure("pollingTime", time)

    # --- software and actions ----------------------------------------------------------------------------------------

    def upload(self, name: str, version: str, files: dict[str, bytes], *, parts: int = 1) -> Software:
        """See ``UpdateServer``."""
        wanted = [{"name": f"{name}-{part}", "version": version, "type": "os"} for part in range(parts)]
        kinds = ("os", "application")
        for part, one in enumerate(wanted):
            one["type"] = kinds[min(part, 1)]
        modules = [int(one["id"]) for one in self.call("POST", "softwaremodules", wanted)]
        for module in modules:
            for filename, data in files.items():
                boundary, form = _multipart(filename, data)
                self._send(
                    "POST", f"softwaremodules/{module}/artifacts", form, f"multipart/form-data; boundary={boundary}"
                )
        ds = {"name": name, "version": version, "type": "os" if parts == 1 else "os_app"}
        ds_made = self.call("POST", "distributionsets", [{**ds, "modules": [{"id": one} for one in modules]}])
        return Software(modules[0], int(ds_made[0]["id"]), name, version)

    def assign(
        self,
        software: Software,
        controller_id: str,
        kind: Kind = "forced",
        *,
        window: Window | None = None,
        confirm: bool = False,
    ) -> str:
        """See ``UpdateServer``."""
        order: dict[str, Any] = {"id": controller_id, "type": kind, "confirmationRequired": confirm}
        if kind == "timeforced":
            order["forcetime"] = int(time.time() * 1000)
        if window is not None:
            times = {"schedule": window.schedule, "duration": window.duration, "timezone": window.timezone}
            order["maintenanceWindow"] = times
        done = self.call("POST", f"distributionsets/{software.ds}/assignedTargets", [order])
        return str(done["assignedActions"][0]["id"])

    def cancel(self, controller_id: str, action: str, *, force: bool = False) -> None:
        """See ``UpdateServer``."""
        path = f"{_target(controller_id)}/actions/{action}"
        if force:
            path += "?force=true"
        self.call("DELETE", path)

    def actions(self, controller_id: str) -> list[ActionFacts]:
        """See ``UpdateServer``."""
        found = self._content(_target(controller_id) + "/actions", sort="id:ASC")
        facts = [
            ActionFacts(str(one["id"]), one["active"], one["status"], one["forceType"], one.get("lastStatusCode"))
            for one in found
        ]
        return sorted(facts, key=lambda one: int(one.number))

    def history(self, controller_id: str, action: str) -> list[Entry]:
        """See ``UpdateServer``."""
        found = self._content(f"{_target(controller_id)}/actions/{action}/status")
        ordered = sorted(found, key=lambda one: int(one["id"]))
        return [Entry(one["type"], tuple(one.get("messages") or ()), one.get("code")) for one in ordered]

    def times(self, controller_id: str, action: str) -> tuple[int, int]:
        """When the device first heard of an action, and when it said the last of it: the server's milliseconds."""
        found = self._content(f"{_target(controller_id)}/actions/{action}/status")
        heard = [int(one["reportedAt"]) for one in found if one["type"] == "retrieved"]
        return min(heard), max(int(one["reportedAt"]) for one in found)

    def confirmation_flow(self, *, enabled: bool) -> None:
        """See ``UpdateServer``."""
        self.configure("user.confirmation.flow.enabled", enabled)

    def confirm(self, controller_id: str, action: str, *, confirmed: bool = True) -> None:
        """See ``UpdateServer``."""
        word = {"confirmation": "confirmed" if confirmed else "denied"}
        self.call("PUT", f"{_target(controller_id)}/actions/{action}/confirmation", word)

    # --- rollouts ----------------------------------------------------------------------------------------------------

    def rollout(
        self,
        name: str,
        software: Software,
        query: str,
        groups: int,
        *,
        success: int = 100,
        error: int = 50,
        kind: Kind = "forced",
    ) -> int:
        """See ``UpdateServer``."""
        made = self.call(
            "POST",
            "rollouts",
            {
                "name": name,
                "distributionSetId": software.ds,
                "targetFilterQuery": query,
                "amountGroups": groups,
                "type": kind,
                "successCondition": {"condition": "THRESHOLD", "expression": str(success)},
                "successAction": {"action": "NEXTGROUP", "expression": ""},
                "errorCondition": {"condition": "THRESHOLD", "expression": str(error)},
                "errorAction": {"action": "PAUSE", "expression": ""},
                "confirmationRequired": False,
            },
        )
        number = int(made["id"])
        self.wait(lambda: self.rollout_facts(number).status == "ready", "the rollout is not ready")
        self.call("POST", f"rollouts/{number}/start")
        self.wait(lambda: self.rollout_facts(number).status not in ("ready", "starting"), "the rollout does not start")
        return number

    def rollout_facts(self, number: int) -> RolloutFacts:
        """See ``UpdateServer``."""
        found = self.call("GET", f"rollouts/{number}")
        return RolloutFacts(number, found["name"], found["status"], dict(found.get("totalTargetsPerStatus") or {}))

    def groups(self, number: int) -> list[GroupFacts]:
        """See ``UpdateServer``."""
        found = self._content(f"rollouts/{number}/deploygroups", representation="full")
        facts = [
            GroupFacts(int(one["id"]), one["name"], one["status"], dict(one.get("totalTargetsPerStatus") or {}))
            for one in found
        ]
        return sorted(facts, key=lambda one: one.number)

    def wait(self, true: Callable[[], bool], words: str) -> None:
        """Wait until ``true()``; the server does some things in its own time. Raises TimeoutError with ``words``."""
        wait_for(true, ROLLOUT_READY_S, words)

    def group_targets(self, number: int, group: int) -> list[str]:
        """See ``UpdateServer``."""
        return [str(one["controllerId"]) for one in self._content(f"rollouts/{number}/deploygroups/{group}/targets")]


def wait_for(true: Callable[[], bool], seconds: float, words: str) -> None:
    """Wait until ``true()``, at the longest so many seconds. Raises TimeoutError with ``words``."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(words)
        time.sleep(0.05)


def _target(controller_id: str) -> str:
    return "targets/" + quote(controller_id, safe="")


def _multipart(filename: str, data: bytes) -> tuple[str, bytes]:
    boundary = secrets.token_hex(16)
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
    head += "Content-Type: application/octet-stream\r\n\r\n"
    return boundary, head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
