"""Which chunks of a deployment are for a device: those for its hardware, by a key of the metadata.

A distribution set for several hardwares has a software module for each. ``publish`` writes the key; a module that a
person makes without it fits every device for which the set has no module of its own.
"""

from __future__ import annotations

from smpdfu.agent.ddi.resources import Chunk, Deployment

HARDWARE = "hardware"
"""The key of the metadata of a software module, visible to targets. Its value is a ``hardware`` of the agent's file."""


def chunks_for(deployment: Deployment, hardware: str) -> tuple[Chunk, ...]:
    """Return the chunks for a device of this hardware: those that name it, else those that name none."""
    named = tuple(chunk for chunk in deployment.chunks if hardware in _hardwares(chunk))
    return named or tuple(chunk for chunk in deployment.chunks if not _hardwares(chunk))


def _hardwares(chunk: Chunk) -> list[str]:
    return [one.value for one in chunk.metadata if one.key == HARDWARE]
