"""The callback for the progress of an upload or a download."""

from __future__ import annotations

from collections.abc import Callable

from smpdfu.smp.transfer.upload import UploadProgress

Report = Callable[[UploadProgress], None]
"""Called with the progress after every piece."""


def no_report(progress: UploadProgress) -> None:
    """Ignore the progress."""
