"""What a shell offers behind an option: found without touching a device, and quickly. Never an error."""

from __future__ import annotations

from contextlib import suppress


def ports(incomplete: str) -> list[str]:
    """Serial ports, by name."""
    with suppress(Exception):  # a shell that completes has no use for a sentence
        from smpdfu.link.serial.pipe import list_serial_ports

        return _that(incomplete, [port.name for port in list_serial_ports()])
    return []


def addresses(incomplete: str) -> list[str]:
    """Addresses of what is here, and how the others begin."""
    with suppress(Exception):
        from smpdfu.connect import WIRES, nearby

        starts = [f"{kind}:" for kind in sorted(WIRES)]
        return _that(incomplete, [*nearby(), *starts])
    return []


def profile_names(incomplete: str) -> list[str]:
    """Profiles of smpdfu.toml."""
    with suppress(Exception):
        from smpdfu.cli.app.config_file import configs

        return _that(incomplete, [name for file in configs() for name in file.names])
    return []


def virtual_names(incomplete: str) -> list[str]:
    """Virtual devices, by name."""
    with suppress(Exception):
        from smpdfu.virtual.store.names import list_devices

        return _that(incomplete, list(list_devices()))
    return []


def loader_names(incomplete: str) -> list[str]:
    """Releases whose loader a virtual device can have."""
    from smpdfu.loaders.releases import NAMES

    return _that(incomplete, list(NAMES))


def _that(incomplete: str, found: list[str]) -> list[str]:
    return [name for name in dict.fromkeys(found) if name.startswith(incomplete) and name.isprintable()]
