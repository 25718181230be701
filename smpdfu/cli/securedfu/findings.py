"""Findings about Secure DFU packages, for people and for scripts, with our options for what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from smpdfu.cli.terminal.show import Output
from smpdfu.securedfu.findings import Finding, Severity

# By the code of a finding: the option that follows its advice.
COMMANDS: Mapping[str, str] = {
    "not-signed": "Sign it with -k.",
}


def command_for(one: Finding) -> str:
    """What to do about a finding: the library's advice, and our option for it."""
    return ". ".join(filter(None, (one.advice, COMMANDS.get(one.code, ""))))


def finding_line(one: Finding) -> str:
    """A finding in one line: the image, what is the case, and what to do."""
    said = ". ".join(filter(None, (one.message, command_for(one))))
    return f"{one.image}: {said}" if one.image else said


def finding_entry(one: Finding) -> dict[str, Any]:
    """The same for ``--json``."""
    return {
        "code": one.code,
        "severity": one.severity,
        "image": one.image or None,
        "message": one.message,
        "advice": command_for(one),
    }


def say_findings(found: Iterable[Finding], out: Output) -> None:
    """Print findings on stderr, each in a line that begins with its severity."""
    for one in found:
        if one.severity is Severity.WARNING:
            out.warn(finding_line(one))
        else:
            out.say(f"{'refused' if one.severity is Severity.ERROR else 'note'}: {finding_line(one)}")
