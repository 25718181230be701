"""Requests to hawkBit's management API, as values: what to ask, not how it travels.

Source: hawkBit 1.x, management API ``/rest/v1`` (docs/management-api.md, docs/query-parameters.md). Each list comes in
pages of at most 500 entries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from smpdfu.agent.management.wish import RolloutWish

ROOT = "/rest/v1"
PAGE_ENTRIES = 50
"""Entries of a page: far fewer than hawkBit gives (500), so that a page stays small."""

METADATA_ENTRIES = 500


@dataclass(frozen=True, slots=True)
class Request:
    """One request: ``path`` begins with a slash and has its query; ``body`` is what JSON is made of, None for none."""

    method: str
    path: str
    body: Any = None

    def page(self, offset: int) -> Request:
        """The same for the entries of a list from ``offset`` on."""
        mark = "&" if "?" in self.path else "?"
        return Request(self.method, f"{self.path}{mark}offset={offset}&limit={PAGE_ENTRIES}")


def user_info() -> Request:
    """Ask who the server takes us for, and of which tenant."""
    return _get("/userinfo")


def find_modules(name: str, version: str) -> Request:
    """Ask for the software modules of this name and version, of any type."""
    return _get("/softwaremodules", q=_all_of(name=name, version=version))


def create_module(name: str, version: str, kind: str, description: str) -> Request:
    """Create a software module of the type ``kind``."""
    return _post("/softwaremodules", [{"name": name, "version": version, "type": kind, "description": description}])


def artifacts_of(module: int) -> Request:
    """Ask for the artifacts of a software module. The answer is a list, not a page."""
    return _get(f"/softwaremodules/{module}/artifacts")


def upload_to(module: int, file: str, sha256: str) -> Request:
    """Upload an artifact: the body is the form that ``server`` makes. The server compares the SHA-256."""
    return _post(f"/softwaremodules/{module}/artifacts?{urlencode({'filename': file, 'sha256sum': sha256})}", None)


def module_metadata(module: int) -> Request:
    """Ask for the metadata of a software module, all of it on one page."""
    return _get(f"/softwaremodules/{module}/metadata", limit=str(METADATA_ENTRIES))


def add_module_metadata(module: int, metadata: Mapping[str, str]) -> Request:
    """Add metadata to a software module that devices see, in the chunk of a deployment."""
    entries = [{"key": key, "value": value, "targetVisible": True} for key, value in metadata.items()]
    return _post(f"/softwaremodules/{module}/metadata", entries)


def find_sets(name: str, version: str) -> Request:
    """Ask for the distribution sets of this name and version."""
    return _get("/distributionsets", q=_all_of(name=name, version=version))


def create_set(name: str, version: str, kind: str, description: str, modules: Sequence[int]) -> Request:
    """Create a distribution set of the type ``kind`` with these software modules."""
    entry = {"name": name, "version": version, "type": kind, "description": description}
    return _post("/distributionsets", [entry | {"modules": [{"id": one} for one in modules]}])


def set_metadata(number: int) -> Request:
    """Ask for the metadata of a distribution set, all of it on one page."""
    return _get(f"/distributionsets/{number}/metadata", limit=str(METADATA_ENTRIES))


def add_set_metadata(number: int, metadata: Mapping[str, str]) -> Request:
    """Add metadata to a distribution set."""
    return _post(
        f"/distributionsets/{number}/metadata", [{"key": key, "value": value} for key, value in metadata.items()]
    )


def find_rollouts(name: str) -> Request:
    """Ask for the rollouts of this name."""
    return _get("/rollouts", q=_all_of(name=name), representation="full")


def create_rollout(wish: RolloutWish, number: int) -> Request:
    """Create a rollout of the distribution set ``number``. Its error action is always to pause."""
    return _post(
        "/rollouts",
        {
            "name": wish.name,
            "distributionSetId": number,
            "targetFilterQuery": wish.targets,
            "amountGroups": wish.groups,
            "type": wish.action.value,
            "successCondition": {"condition": "THRESHOLD", "expression": str(wish.success_percent)},
            "successAction": {"action": "NEXTGROUP", "expression": ""},
            "errorCondition": {"condition": "THRESHOLD", "expression": str(wish.error_percent)},
            "errorAction": {"action": "PAUSE", "expression": ""},
        },
    )


def start_rollout(rollout: int) -> Request:
    """Start a rollout that is ready."""
    return _post(f"/rollouts/{rollout}/start", None)


def rollout(number: int) -> Request:
    """Ask for a rollout, with the counts of its targets."""
    return _get(f"/rollouts/{number}")


def groups_of(number: int) -> Request:
    """Ask for the groups of a rollout, with the counts of their targets."""
    return _get(f"/rollouts/{number}/deploygroups", sort="id:ASC", representation="full")


def failed_actions(number: int, most: int) -> Request:
    """Ask for the actions of a rollout that failed, the first ``most``."""
    query = f"rollout.id=={number};status==error"
    return _get("/actions", q=query, sort="id:ASC", representation="full", limit=str(most))


def action_messages(target: str, action: int, most: int) -> Request:
    """Ask for the last ``most`` messages that a target sent about an action."""
    return _get(f"/targets/{quote(target, safe='')}/actions/{action}/status", sort="id:DESC", limit=str(most))


def attributes_of(target: str) -> Request:
    """Ask for the attributes of a target."""
    return _get(f"/targets/{quote(target, safe='')}/attributes")


def _get(path: str, **query: str) -> Request:
    text = urlencode(query, quote_via=quote)
    return Request("GET", f"{ROOT}{path}?{text}" if text else f"{ROOT}{path}")


def _post(path: str, body: Any) -> Request:
    return Request("POST", f"{ROOT}{path}", body)


def _all_of(**fields: str) -> str:
    """The query that all fields have these values. ``wish`` allows no character that has a meaning in it."""
    return ";".join(f'{name}=="{value}"' for name, value in fields.items())
