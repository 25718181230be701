"""Who made a package: the CI job that runs this, as GitHub and GitLab describe it in variables, or a computer.

Sources: GitHub's "Variables reference", GitLab's "Predefined CI/CD variables reference".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

LOCAL = "urn:smpdfu:builder:local"
"""The builder where no CI is: whoever has the key."""

_GITHUB_FACTS = ("GITHUB_REPOSITORY", "GITHUB_REF", "GITHUB_SHA", "GITHUB_EVENT_NAME", "GITHUB_WORKFLOW_REF")
_GITLAB_FACTS = ("CI_PROJECT_PATH", "CI_COMMIT_REF_NAME", "CI_COMMIT_SHA", "CI_PIPELINE_SOURCE", "CI_PIPELINE_URL")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LONGEST = 1024
_Value = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Builder:
    """``id`` names who is trusted to have run this, a URI; ``invocation`` this run; ``facts`` are what the CI says.

    ``source`` is the source's address and its commit; None where the CI names none.
    """

    id: str = LOCAL
    invocation: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    source: tuple[str, str] | None = None


def find_builder(environment: Mapping[str, str], given: str | None = None) -> Builder:
    """What the variables of a CI say. ``given`` is the builder's id, if a person names it."""

    def value(name: str) -> str:
        found = environment.get(name, "")
        return found if found.isprintable() and len(found) <= _LONGEST else ""

    if value("GITHUB_ACTIONS") == "true":
        found = _github(value)
    elif value("GITLAB_CI") == "true":
        found = _gitlab(value)
    else:
        found = Builder()
    return Builder(given or found.id, found.invocation, found.facts, found.source)


def _github(value: _Value) -> Builder:
    server, repository = value("GITHUB_SERVER_URL"), value("GITHUB_REPOSITORY")
    workflow, run, attempt = value("GITHUB_WORKFLOW_REF"), value("GITHUB_RUN_ID"), value("GITHUB_RUN_ATTEMPT")
    return Builder(
        id=f"{server}/{workflow}" if server and workflow else LOCAL,
        invocation=f"{server}/{repository}/actions/runs/{run}/attempts/{attempt or '1'}" if run else "",
        facts=_facts(value, _GITHUB_FACTS),
        source=_source(f"{server}/{repository}", value("GITHUB_REF"), value("GITHUB_SHA")),
    )


def _gitlab(value: _Value) -> Builder:
    project, runner = value("CI_PROJECT_URL"), value("CI_RUNNER_ID")
    return Builder(
        id=f"{project}/-/runners/{runner}" if project and runner else LOCAL,
        invocation=value("CI_JOB_URL"),
        facts=_facts(value, _GITLAB_FACTS),
        source=_source(project, value("CI_COMMIT_REF_NAME"), value("CI_COMMIT_SHA")),
    )


def _facts(value: _Value, names: tuple[str, ...]) -> dict[str, str]:
    return {name: found for name in names if (found := value(name))}


def _source(address: str, branch: str, commit: str) -> tuple[str, str] | None:
    if not address.startswith("http") or not _COMMIT.fullmatch(commit):
        return None
    return (f"git+{address}@{branch}" if branch else f"git+{address}"), commit
