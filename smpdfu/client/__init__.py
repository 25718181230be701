"""A device to talk to: a pipe, a framing and a session put together. The only place with timeouts.

A request that gets no readable answer in time is sent again with the same sequence number, so an answer counts
whichever copy it is for; answers that nobody waits for are dropped. A refusal by the device is ``DeviceError``, silence
``ResponseTimeoutError``, unreadable answers ``RemoteProtocolError``, a broken link ``LinkLostError``.
"""

from smpdfu.client.client import DEFAULT_TIMEOUT_S, ERASE_TIMEOUT_S, Client, Patience, UploadResult, image_hash
from smpdfu.client.trace import Trace, Tracer
from smpdfu.smp.upload import UploadProgress

__all__ = [
    "DEFAULT_TIMEOUT_S",
    "ERASE_TIMEOUT_S",
    "Client",
    "Patience",
    "Trace",
    "Tracer",
    "UploadProgress",
    "UploadResult",
    "image_hash",
]
