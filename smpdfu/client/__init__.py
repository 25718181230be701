"""A device to talk to: a pipe, a framing and a session together. The only place with timeouts.

If no readable answer comes in time, the client sends the request again with the same sequence number, so that an answer
to any of the copies counts. It drops answers to requests that are not open. A refusal by the device is ``DeviceError``,
silence is ``ResponseTimeoutError``, an unreadable answer is ``RemoteProtocolError``, a broken link is
``LinkLostError``.
"""

from smpdfu.client.client import DEFAULT_TIMEOUT_S, ERASE_TIMEOUT_S, Client
from smpdfu.client.patience import Patience
from smpdfu.client.trace import Trace, Tracer
from smpdfu.client.transfers.image_upload import UploadResult, image_hash
from smpdfu.smp.transfer.upload import UploadProgress

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
