"""The stand-in's part of hawkBit's management API: ``/rest/v1``, basic authentication."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from typing import Any, cast

from aiohttp import web

from tests.agent.servers.stand_in.ddi import repository
from tests.agent.servers.stand_in.repository import RefusedError
from tests.agent.servers.stand_in.rollouts import selected
from tests.agent.servers.stand_in.state import Action, Artifact, DistributionSet, Module, Target

ROOT = "/rest/v1"
USER, PASSWORD = "admin", "admin"
KINDS = frozenset({"forced", "soft", "downloadonly", "timeforced"})

routes = web.RouteTableDef()


def authenticate(request: web.Request) -> None:
    """Raise 401 unless user and password are the operator's."""
    wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    if request.headers.get("Authorization") != wanted:
        raise RefusedError(401, "not authenticated")


async def body(request: web.Request) -> Any:
    """The JSON of a request."""
    try:
        return json.loads(await request.read())
    except ValueError:
        raise RefusedError(400, "the body is not JSON") from None


def link(request: web.Request, path: str) -> dict[str, Any]:
    """Where something is found."""
    return {"self": {"href": f"{request.url.origin()}{ROOT}/{path}"}}


def paged(request: web.Request, found: Iterable[dict[str, Any]]) -> web.Response:
    """A page of a list."""
    everything = list(found)
    offset, limit = int(request.query.get("offset", "0")), min(int(request.query.get("limit", "50")), 500)
    content = everything[offset : offset + limit]
    return web.json_response({"content": content, "total": len(everything), "size": len(content)})


def number(request: web.Request, name: str) -> int:
    """A number of the path."""
    text = request.match_info[name]
    if not text.isascii() or not text.isdigit():
        raise RefusedError(400, f"{name} is a number")
    return int(text)


def matches(query: str, **fields: str) -> bool:
    """Whether ``name==x;version==y`` fits."""
    for part in filter(None, query.split(";")):
        name, _, value = part.partition("==")
        if fields.get(name.strip()) != value.strip().strip("'\""):
            return False
    return True


# --- targets ----------------------------------------------------------------------------------------------------------


def _target(request: web.Request, target: Target) -> dict[str, Any]:
    found: dict[str, Any] = {
        "controllerId": target.controller_id,
        "name": target.name,
        "updateStatus": target.update_status,
        "securityToken": target.token,
        "requestAttributes": target.wants_attributes,
        "_links": link(request, f"targets/{target.controller_id}"),
    }
    if target.polled_ms is not None:
        found["lastControllerRequestAt"] = target.polled_ms
    return found


def _known(request: web.Request) -> Target:
    return repository(request).target(request.match_info["target"])


@routes.post(ROOT + "/targets")
async def create_targets(request: web.Request) -> web.Response:
    """Create targets."""
    kept = repository(request)
    made = [
        kept.add_target(str(one["controllerId"]), str(one.get("name") or ""), str(one.get("securityToken") or ""))
        for one in await body(request)
    ]
    return web.json_response([_target(request, one) for one in made], status=201)


@routes.get(ROOT + "/targets")
async def list_targets(request: web.Request) -> web.Response:
    """All targets, or those of ``q``."""
    found: Iterable[Target] = repository(request).targets.values()
    if request.query.get("q"):
        found = selected(found, request.query["q"])
    return paged(request, [_target(request, one) for one in found])


@routes.get(ROOT + "/targets/{target}")
async def get_target(request: web.Request) -> web.Response:
    """One target."""
    return web.json_response(_target(request, _known(request)))


@routes.delete(ROOT + "/targets/{target}")
async def delete_target(request: web.Request) -> web.Response:
    """Delete a target with its actions."""
    kept = repository(request)
    for action in _known(request).actions:
        del kept.actions[action.number]
    del kept.targets[request.match_info["target"]]
    return web.Response(status=204)


@routes.get(ROOT + "/targets/{target}/attributes")
async def attributes(request: web.Request) -> web.Response:
    """What the device says of itself."""
    found = _known(request).attributes
    return web.json_response(found) if found else web.Response(status=204)


@routes.get(ROOT + "/targets/{target}/{which:assignedDS|installedDS}")
async def target_set(request: web.Request) -> web.Response:
    """What is assigned to a target, or installed in it."""
    target = _known(request)
    found = target.assigned if request.match_info["which"] == "assignedDS" else target.installed
    return web.Response(status=204) if found is None else web.json_response(describe_set(request, found))


def _action(request: web.Request, action: Action) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": action.number,
        "type": "cancel" if action.is_canceling else "update",
        "active": action.active,
        "status": action.status,
        "forceType": action.kind,
        "_links": link(request, f"targets/{action.target.controller_id}/actions/{action.number}"),
    }
    if action.code is not None:
        found["lastStatusCode"] = action.code
    if action.window is not None:
        window = action.window
        found["maintenanceWindow"] = {
            "schedule": window.schedule,
            "duration": window.duration,
            "timezone": window.timezone,
        }
    if action.rollout is not None:
        found |= {"rollout": action.rollout.number, "rolloutName": action.rollout.name}
    return found


def _own_action(request: web.Request) -> Action:
    kept, target = repository(request), _known(request)
    action = kept.one(kept.actions, number(request, "action"))
    if action.target is not target:
        raise RefusedError(404)
    return action


@routes.get(ROOT + "/targets/{target}/actions")
async def actions(request: web.Request) -> web.Response:
    """The actions of a target, newest first."""
    return paged(request, [_action(request, one) for one in reversed(_known(request).actions)])


@routes.get(ROOT + "/targets/{target}/actions/{action}")
async def get_action(request: web.Request) -> web.Response:
    """One action."""
    return web.json_response(_action(request, _own_action(request)))


@routes.put(ROOT + "/targets/{target}/actions/{action}")
async def force_action(request: web.Request) -> web.Response:
    """Make a soft action a forced one."""
    action = _own_action(request)
    if not action.active or (await body(request)).get("forceType") != "forced":
        raise RefusedError(400, "only an open action becomes forced")
    action.kind = "forced"
    return web.json_response(_action(request, action))


@routes.delete(ROOT + "/targets/{target}/actions/{action}")
async def cancel(request: web.Request) -> web.Response:
    """Cancel an action; ``force=true``: without the device."""
    repository(request).cancel(_own_action(request), force=request.query.get("force") == "true")
    return web.Response(status=204)


@routes.put(ROOT + "/targets/{target}/actions/{action}/confirmation")
async def confirm(request: web.Request) -> web.Response:
    """The operator's word for the device's owner."""
    said = await body(request)
    confirmed = said.get("confirmation") == "confirmed"
    repository(request).confirm(
        _own_action(request), confirmed=confirmed, messages=list(said.get("details") or []), code=said.get("code")
    )
    return web.Response(status=204)


@routes.get(ROOT + "/targets/{target}/actions/{action}/status")
async def statuses(request: web.Request) -> web.Response:
    """An action's history, newest first."""
    found = []
    for one in reversed(_own_action(request).history):
        entry: dict[str, Any] = {"id": one.number, "type": one.kind, "messages": one.messages, "reportedAt": one.at_ms}
        found.append(entry if one.code is None else {**entry, "code": one.code})
    return paged(request, found)


@routes.get(ROOT + "/targets/{target}/autoConfirm")
async def auto_confirm(request: web.Request) -> web.Response:
    """Whether the target's actions are confirmed by themselves."""
    return web.json_response({"active": _known(request).auto_confirm})


@routes.post(ROOT + "/targets/{target}/autoConfirm/{word:activate|deactivate}")
async def switch_auto_confirm(request: web.Request) -> web.Response:
    """Confirm the target's actions by themselves, or no longer."""
    target = _known(request)
    target.auto_confirm = request.match_info["word"] == "activate"
    for action in target.actions:
        if target.auto_confirm and action.active and action.status == "wait_for_confirmation":
            repository(request).confirm(action, confirmed=True, messages=[], code=None)
    return web.Response()


# --- software ---


def describe_module(request: web.Request, module: Module) -> dict[str, Any]:
    """What a software module is."""
    found = {"id": module.number, "name": module.name, "version": module.version, "type": module.kind}
    return {**found, "_links": link(request, f"softwaremodules/{module.number}")}


def describe_artifact(request: web.Request, module: Module, one: Artifact) -> dict[str, Any]:
    """What a file of a software module is."""
    found = {"id": one.number, "providedFilename": one.filename, "hashes": one.hashes, "size": len(one.data)}
    return {**found, "_links": link(request, f"softwaremodules/{module.number}/artifacts/{one.number}")}


def describe_set(request: web.Request, made: DistributionSet) -> dict[str, Any]:
    """What a distribution set is."""
    modules = [describe_module(request, one) for one in made.modules]
    found = {"id": made.number, "name": made.name, "version": made.version, "modules": modules, "complete": True}
    return {**found, "type": made.kind, "_links": link(request, f"distributionsets/{made.number}")}


# --- the tenant's configuration ---------------------------------------------------------------------------------------


@routes.put(ROOT + "/system/configs/{key}")
async def configure(request: web.Request) -> web.Response:
    """Set one value."""
    config, key = repository(request).config, request.match_info["key"]
    if key not in config:
        raise RefusedError(400, f"not a key: {key}")
    config[key] = (await body(request))["value"]
    return web.json_response({"value": config[key], "global": False})


@routes.get(ROOT + "/system/configs/{key}")
async def configured(request: web.Request) -> web.Response:
    """One value."""
    config = repository(request).config
    read = cast("Callable[[str], Any]", config.get)
    return web.json_response({"value": read(request.match_info["key"]), "global": False})


# --- all actions, and who asks ----------------------------------------------------------------------------------------


@routes.get(ROOT + "/actions")
async def all_actions(request: web.Request) -> web.Response:
    """The actions of all targets that fit ``rollout.id==N;status==WORD``."""
    query = request.query.get("q", "")
    fit = [
        _action(request, one)
        for one in repository(request).actions.values()
        if matches(query, **{"rollout.id": str(one.rollout.number if one.rollout else ""), "status": one.status})
    ]
    return paged(request, fit)


@routes.get(ROOT + "/userinfo")
async def user_info(request: web.Request) -> web.Response:
    """The tenant of the one user."""
    return web.json_response({"tenant": "DEFAULT", "username": USER})
