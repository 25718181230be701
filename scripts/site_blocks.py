"""What the documentation site does to a page before it becomes HTML: see ``hooks`` in mkdocs.yml."""

from __future__ import annotations

import re
from typing import Any

_BLOCK = re.compile(r"^(```\w+) (?:run|hawkbit)$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Take the second word from the first line of a block of code that a test runs.

    Python-Markdown knows one word there, GitHub any number.
    """
    return _BLOCK.sub(r"\1", markdown)
