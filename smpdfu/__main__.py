"""Start the command line: ``python -m smpdfu`` and the console scripts."""

from __future__ import annotations

from smpdfu.cli.terminal import interrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> None:
    """Run ``smpdfu``; Ctrl-C ends it with 130 even while modules are still being imported."""
    interrupt.leave_at_once()
    try:
        from smpdfu.cli.app.main import run

        run()
    except KeyboardInterrupt:
        from smpdfu.cli.app.main import interrupted

        interrupted()
    finally:
        interrupt.give_back()


def imgtool() -> None:
    """Run ``smpdfu-imgtool``, the signer behind imgtool's command line."""
    import gc

    interrupt.leave_at_once()
    gc.disable()  # one short run: nothing that is made on the way could be given back before its end
    try:
        from smpdfu.cli.imgtool.commands import run

        interrupt.let_through()
        run()
    except KeyboardInterrupt:
        _leave(130)
    except SystemExit as left:
        _leave(left.code if isinstance(left.code, int) else int(left.code is not None))


def _leave(code: int) -> NoReturn:
    """Leave at once: to take the interpreter apart would take a tenth of the run. What was said is flushed before."""
    import os
    import sys

    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # whoever listened has gone
            code = code or 1
    os._exit(code)


if __name__ == "__main__":
    main()
