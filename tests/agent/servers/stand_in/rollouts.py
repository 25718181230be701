"""How the stand-in takes a rollout from group to group: hawkBit's ``JpaRolloutExecutor`` with its thresholds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from tests.agent.servers.stand_in.state import Group, Rollout, Target

if TYPE_CHECKING:
    from tests.agent.servers.stand_in.repository import Repository

FIELDS: dict[str, Callable[[Target], str | None]] = {
    "id": lambda target: target.controller_id,
    "controllerid": lambda target: target.controller_id,
    "name": lambda target: target.name,
    "updatestatus": lambda target: target.update_status,
}


def selected(targets: Iterable[Target], query: str) -> list[Target]:
    """The targets that a query of ``field==pattern`` parts names, joined by ``;`` or ``and``. ValueError for others."""
    tests = [_test(part.strip()) for part in re.split(r";|\band\b", query)]
    return [target for target in targets if all(test(target) for test in tests)]


def _test(part: str) -> Callable[[Target], bool]:
    found = re.fullmatch(r"([\w.]+)\s*==\s*['\"]?([^'\"]*)['\"]?", part)
    if not found:
        raise ValueError(f"the stand-in cannot read the query {part}")
    name, pattern = found[1].lower(), found[2]
    if name.startswith(("attribute.", "controllerattributes.")):
        key = found[1].partition(".")[2]
        return lambda target: fnmatchcase(target.attributes.get(key, ""), pattern)
    if name not in FIELDS:
        raise ValueError(f"the stand-in cannot select by {name}")
    return lambda target: fnmatchcase(FIELDS[name](target) or "", pattern)


def in_groups(repository: Repository, targets: list[Target], amount: int) -> list[Group]:
    """About equally large groups, in the order of the targets."""
    size, left = divmod(len(targets), amount)
    groups, at = [], 0
    for number in range(amount):
        until = at + size + (number < left)
        groups.append(Group(repository.number(), f"group-{number + 1}", targets[at:until]))
        at = until
    return groups


def start(repository: Repository, rollout: Rollout) -> None:
    """Assign to the first group; the others wait."""
    for group in rollout.groups:
        group.status = "scheduled"
    rollout.status = "running"
    _start_group(repository, rollout, rollout.groups[0])


def _start_group(repository: Repository, rollout: Rollout, group: Group) -> None:
    group.status = "running"
    for target in group.targets:
        action = repository.assign(target.controller_id, rollout.ds, rollout.kind, rollout=rollout)
        if action is not None:
            group.actions.append(action)
    group.targets = [action.target for action in group.actions]


def follow(repository: Repository, rollout: Rollout) -> None:
    """One round of the scheduler: too many errors pause the rollout, enough successes start the next group."""
    if rollout.status == "creating":
        rollout.status = "ready"
    if rollout.status != "running":
        return
    running = [group for group in rollout.groups if group.status == "running"]
    if not running:
        _next(repository, rollout)
    for group in running:
        failed = sum(action.status == "error" for action in group.actions)
        if rollout.error_percent is not None and failed * 100 > rollout.error_percent * len(group.actions):
            group.status, rollout.status = "error", "paused"
        else:
            _succeed(repository, rollout, group)
    if not any(group.status in ("running", "scheduled") for group in rollout.groups):
        rollout.status = "finished"


def _succeed(repository: Repository, rollout: Rollout, group: Group) -> None:
    good = "downloaded" if rollout.kind == "downloadonly" else "finished"
    done = sum(action.status == good for action in group.actions)
    over = not any(action.active for action in group.actions)
    if over or done * 100 >= rollout.success_percent * len(group.actions):
        following = rollout.groups[rollout.groups.index(group) + 1 :]
        if following and following[0].status == "scheduled":
            _start_group(repository, rollout, following[0])
    if over:
        group.status = "finished"


def _next(repository: Repository, rollout: Rollout) -> None:
    for group in rollout.groups:
        if group.status == "scheduled":
            _start_group(repository, rollout, group)
            return
