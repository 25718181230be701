"""The stand-in's part of hawkBit's management API for rollouts: ``/rest/v1/rollouts``."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.agent.servers.stand_in.ddi import repository
from tests.agent.servers.stand_in.management import ROOT, body, link, number, paged
from tests.agent.servers.stand_in.repository import RefusedError
from tests.agent.servers.stand_in.rollouts import in_groups, selected
from tests.agent.servers.stand_in.state import Group, Rollout, count

routes = web.RouteTableDef()


def _rollout(request: web.Request, rollout: Rollout) -> dict[str, Any]:
    return {
        "id": rollout.number,
        "name": rollout.name,
        "status": rollout.status,
        "targetFilterQuery": rollout.filter,
        "distributionSetId": rollout.ds.number,
        "totalTargets": sum(len(group.targets) for group in rollout.groups),
        "totalTargetsPerStatus": rollout.counts(),
        "totalGroups": len(rollout.groups),
        "type": rollout.kind,
        "deleted": rollout.deleted,
        "_links": link(request, f"rollouts/{rollout.number}"),
    }


def _group(request: web.Request, rollout: Rollout, group: Group) -> dict[str, Any]:
    return {
        "id": group.number,
        "name": group.name,
        "status": group.status,
        "totalTargets": len(group.targets),
        "totalTargetsPerStatus": count([group]),
        "successCondition": {"condition": "THRESHOLD", "expression": str(rollout.success_percent)},
        "errorCondition": {"condition": "THRESHOLD", "expression": str(rollout.error_percent)},
        "_links": link(request, f"rollouts/{rollout.number}/deploygroups/{group.number}"),
    }


def _known(request: web.Request) -> Rollout:
    kept = repository(request)
    kept.evaluate()
    return kept.one(kept.rollouts, number(request, "rollout"))


def _percent(wanted: dict[str, Any], name: str) -> int | None:
    found = (wanted.get(name) or {}).get("expression")
    return None if found in (None, "") else int(found)


@routes.post(ROOT + "/rollouts")
async def create(request: web.Request) -> web.Response:
    """Create a rollout in ``amountGroups`` groups."""
    kept, wanted = repository(request), await body(request)
    try:
        targets = selected(kept.targets.values(), wanted["targetFilterQuery"])
    except ValueError as error:
        raise RefusedError(400, str(error)) from None
    amount = int(wanted.get("amountGroups") or 0)
    if not targets or not 1 <= amount <= 500:
        raise RefusedError(400, "a rollout has targets, and 1 to 500 groups")
    success = _percent(wanted, "successCondition")
    rollout = Rollout(
        kept.number(),
        wanted["name"],
        kept.one(kept.sets, int(wanted["distributionSetId"])),
        wanted.get("type", "forced"),
        100 if success is None else success,
        _percent(wanted, "errorCondition"),
        in_groups(kept, targets, amount),
        filter=wanted["targetFilterQuery"],
    )
    kept.rollouts[rollout.number] = rollout
    return web.json_response(_rollout(request, rollout), status=201)


@routes.get(ROOT + "/rollouts")
async def list_rollouts(request: web.Request) -> web.Response:
    """All rollouts."""
    kept = repository(request)
    kept.evaluate()
    return paged(request, [_rollout(request, one) for one in kept.rollouts.values()])


@routes.get(ROOT + "/rollouts/{rollout}")
async def get(request: web.Request) -> web.Response:
    """One rollout."""
    return web.json_response(_rollout(request, _known(request)))


@routes.post(ROOT + "/rollouts/{rollout}/{word:start|pause|resume}")
async def order(request: web.Request) -> web.Response:
    """Start, pause or resume a rollout."""
    rollout, word = _known(request), request.match_info["word"]
    if word == "start":
        repository(request).start(rollout)
    elif (word, rollout.status) in (("pause", "running"), ("resume", "paused")):
        rollout.status = "paused" if word == "pause" else "running"
    else:
        raise RefusedError(400, f"a rollout that is {rollout.status} cannot {word}")
    return web.Response()


@routes.get(ROOT + "/rollouts/{rollout}/deploygroups")
async def groups(request: web.Request) -> web.Response:
    """The groups of a rollout."""
    rollout = _known(request)
    return paged(request, [_group(request, rollout, group) for group in rollout.groups])


@routes.get(ROOT + "/rollouts/{rollout}/deploygroups/{group}/targets")
async def targets(request: web.Request) -> web.Response:
    """The targets of a group."""
    rollout, wanted = _known(request), number(request, "group")
    group = next((one for one in rollout.groups if one.number == wanted), None)
    if group is None:
        raise RefusedError(404)
    return paged(request, [{"controllerId": one.controller_id, "name": one.name} for one in group.targets])
