"""The limit of open files, raised in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (50, 200))
from smpdfu.local.state.limits import allow_open_files
granted = [allow_open_files(count) for count in (40, 120, 1000)]
print(*granted, *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


CORE = """
import resource
resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 30))
from smpdfu.local.state.limits import no_core_file
no_core_file()
print(*resource.getrlimit(resource.RLIMIT_CORE))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_a_process_with_secrets_leaves_no_image_of_itself() -> None:
    done = subprocess.run([sys.executable, "-c", CORE], capture_output=True, text=True)
    if "ValueError" in done.stderr:
        pytest.skip("the system allows this user no image at all")
    assert done.stdout.split() == ["0", str(1 << 30)], done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_as_many_as_the_system_grants() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["40", "120", "200", "200", "200"]
