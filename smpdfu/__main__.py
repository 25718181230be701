"""Start the command line: ``python -m smpdfu`` and the console scripts."""

from __future__ import annotations

from smpdfu.cli.terminal import interrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_OBJECTS_PER_COLLECTION = 50_000  # Python's own 700 or 2,000 would have it search for garbage as modules are loaded


def main() -> None:
    """Run ``smpdfu``; Ctrl-C ends it with 130 even while modules are still being imported."""
    interrupt.leave_at_once()
    import gc

    gc.set_threshold(_OBJECTS_PER_COLLECTION)
    try:
        from smpdfu.cli.app.main import run

        run()
    except KeyboardInterrupt:
        from smpdfu.cli.app.main import interrupted

        interrupted()
    finally:
        interrupt.give_back()


def console() -> NoReturn:
    """Run ``smpdfu`` as a program of its own, which ends faster than a function that comes back."""
    try:
        main()
    except SystemExit as left:
        _leave_alone(left)
    _leave(0)


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


def _leave_alone(left: SystemExit) -> NoReturn:
    """Leave at once, unless something waits for the interpreter's end: a thread, or modules that only servers load."""
    import sys

    threading = sys.modules.get("threading")
    alone = threading is None or threading.active_count() == 1
    if not alone or sys.modules.keys() & {"concurrent.futures.thread", "multiprocessing", "aiohttp"}:
        raise left
    _leave(left.code if isinstance(left.code, int) else int(left.code is not None))


def _leave(code: int) -> NoReturn:
    """Leave at once: to take the interpreter apart would take a tenth of the run. What was said is flushed before."""
    import os
    import sys

    lost = ""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.write(lost)
            stream.flush()
        except OSError as error:  # whoever listened has gone, or a disk is full
            if not code and not isinstance(error, BrokenPipeError):
                lost = f"Error: stdout: {error.strerror}\n"
            code = code or 1
    os._exit(code)


if __name__ == "__main__":
    console()
