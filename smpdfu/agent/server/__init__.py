"""The HTTP client of DDI. Whoever imports a module of it without aiohttp gets NotReadyError."""

from smpdfu.errors import NotReadyError

try:
    import aiohttp as _aiohttp  # noqa: F401  # here to see whether it is installed
except ImportError as error:
    raise NotReadyError(
        "HTTP to an update server needs aiohttp, which is not installed. Install it: pip install 'smpdfu[agent]'"
    ) from error
