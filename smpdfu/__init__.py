"""smpdfu: sign, encrypt, pack and update nRF5340 firmware over SMP.

The public API is what ``__init__.pyi`` names: it keeps its meaning from one minor version to the next. All other
modules are private, except ``smpdfu.client.files`` and ``smpdfu.smp.groups``. Each name is imported when it is first
used, so that a program pays only for what it needs.
"""

from __future__ import annotations

# Started as a program (``python -m``, or a console script), Ctrl-C ends it from here on: nothing was done yet.
try:
    import sys

    _PROGRAM = ([*sys.argv, ""][0].replace("\\", "/").rpartition("/")[2].partition(".")[0]).removesuffix("-script")
    if _PROGRAM in ("-m", "smpdfu", "smpdfu-imgtool"):
        from smpdfu.cli.terminal import interrupt

        interrupt.leave_at_once()
except KeyboardInterrupt:
    from smpdfu.cli.terminal import interrupt

    interrupt.leave()

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    from importlib import import_module

    table = _public()
    if name == "__all__":
        found: object = [*table, "__version__"]
    elif name in table:
        found = getattr(import_module(table[name]), name)
    else:
        raise AttributeError(f"module 'smpdfu' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_public()})


def _public() -> dict[str, str]:
    """Public name -> the module that has it, read from ``__init__.pyi``, where each name stands once (ADR 7).

    The loader reads the file, so that this works in a zip, too. No other module of ours reads it.
    """
    text = __loader__.get_data(f"{__path__[0]}/__init__.pyi").decode()
    lines = (line.split() for line in text.splitlines())
    return {words[5]: words[1] for words in lines if words[:1] == ["from"]}
