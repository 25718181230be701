"""An agent in a process of its own: ``-m tests.agent.work.agent_process AGENT.toml``, until SIGTERM or a kill."""

from __future__ import annotations

import asyncio
import signal
import sys

from smpdfu.agent.work.opening import load_agent_file, open_gateway
from tests.agent.work.gateway_bench import QUICK


async def main(path: str) -> None:
    """Run it."""
    async with open_gateway(load_agent_file(path), pace=QUICK) as gateway:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, gateway.stop)
        await gateway.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
