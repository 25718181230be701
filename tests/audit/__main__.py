"""``make lint``'s look at the packages that smpdfu needs: floors below known faults, and pip-audit where it can run.

Ends with 1 for a floor or an installed package with a known fault; where the advisories cannot be read, says so and
ends with 0.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

from tests.audit.floors import faults

TIMEOUT_S = 120
COMMAND = ("-m", "pip_audit", "--format", "json", "--progress-spinner", "off", "--timeout", "15", "--skip-editable")


def main() -> int:
    """Print what was found and return the exit code."""
    found = [*faults()]
    reason, audited = _audit()
    found += audited
    for sentence in found:
        print(sentence)
    print(f"audit: advisories were not read, only the floors were checked: {reason}" if reason else "audit: done")
    return 1 if found else 0


def _audit() -> tuple[str, list[str]]:
    """Why the advisories could not be read, or ""; and a sentence for each package with a known fault."""
    try:
        done = subprocess.run(
            [sys.executable, *COMMAND], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"pip-audit took more than {TIMEOUT_S} s", []
    return judged(done.stdout, done.stderr)


def judged(stdout: str, stderr: str) -> tuple[str, list[str]]:
    """What pip-audit's JSON says. Packages that it skipped were not looked at: where all were, nothing was read."""
    try:
        packages: Sequence[dict[str, object]] = json.loads(stdout)["dependencies"]
    except (ValueError, LookupError, TypeError):
        return (stderr.strip().splitlines() or ["pip-audit said nothing"])[-1][:200], []
    seen = [one for one in packages if "skip_reason" not in one]
    if not seen:
        return "pip-audit found none of the packages in its registry", []
    sentences = [
        f"{one['name']} {one['version']} has a known fault, {fault.get('id')}"
        for one in seen
        for fault in _list(one.get("vulns"))
    ]
    return "", sentences


def _list(value: object) -> list[dict[str, object]]:
    return value if isinstance(value, list) else []


if __name__ == "__main__":
    sys.exit(main())
