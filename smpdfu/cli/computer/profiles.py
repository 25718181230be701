"""``profiles``: the devices that smpdfu.toml names, and what is wrong in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smpdfu.cli.app.config_file import ConfigFile, config_files, read_config
from smpdfu.cli.app.connection import address_of
from smpdfu.cli.app.ending import conclude
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output, table, words
from smpdfu.errors import ImageError


def show_profiles(out: Output) -> None:
    """List the profiles of every smpdfu.toml and what is wrong in it. Raises ImageError if something is wrong."""
    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    hidden: set[str] = set()
    for path in config_files():
        try:
            file = read_config(path)
            found = _rows(file, problems) if file is not None else []
        except typer.BadParameter as error:
            problems.append(error.message)
            continue
        rows += [row | {"hidden": row["name"] in hidden} for row in found]
        hidden |= {row["name"] for row in found}
    fault = ImageError(f"smpdfu.toml is wrong in {len(problems)} place{'s'[: len(problems) > 1]}") if problems else None
    for problem in problems:
        out.warn(problem)
    conclude(out, {"profiles": rows, "problems": problems}, lambda: _shown(rows), fault)


def _rows(file: ConfigFile, problems: list[str]) -> list[dict[str, Any]]:
    """The tables of one file that are right; sentences on the others go to ``problems``."""
    problems += file.strangers()
    rows = []
    for name in ("", *file.names):
        try:
            values = file.profile(name) if name else file.connection
            if values is not None:
                rows.append({"name": name, "address": _address(values), **_limits(values), "file": str(file.path)})
        except typer.BadParameter as error:
            problems.append(error.message)
    return rows


def _address(values: Mapping[str, Any]) -> str:
    return address_of(dict(values))


def _limits(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"timeout_s": values.get("timeout"), "window": values.get("window")}


def _shown(rows: list[dict[str, Any]]) -> Any:
    if not rows:
        places = " or ".join(str(path) for path in config_files())
        return words(f"There are no profiles. Write [connection] or [profile.NAME] into {places}")
    cells = [
        (row["name"] or "(default)", row["address"], row["timeout_s"], row["window"], _place_of(row)) for row in rows
    ]
    return table("", ("name", "device", "timeout (s)", "window", "file"), cells)


def _place_of(row: Mapping[str, Any]) -> str:
    return f"{row['file']}, hidden by the nearer file" if row["hidden"] else row["file"]
