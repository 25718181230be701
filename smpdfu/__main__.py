"""Start the command line: ``python -m smpdfu`` and the console scripts."""

from __future__ import annotations

import sys


def main() -> None:
    """Run ``smpdfu``; Ctrl-C ends it with 130 even while modules are still being imported."""
    try:
        from smpdfu.cli.main import run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


def imgtool() -> None:
    """Run ``smpdfu-imgtool``, the signer behind imgtool's command line."""
    try:
        from smpdfu.cli.imgtool import run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
