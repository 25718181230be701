"""Bounds for what a server says. A good server stays far below each; a bad one gets one sentence.

hawkBit's own bounds are in ``hawkbit-repository-api`` and ``HawkbitSecurityProperties``: 256 characters for an id and a
file name, 4,000 for a value of metadata, 100 modules in a distribution set, 50 artifacts in a module.
"""

from __future__ import annotations

MAX_BODY_BYTES = 1 << 20
"""Bytes of an answer in JSON, unpacked."""
MAX_DEPTH = 16
"""Levels of lists and objects. DDI has nine."""
MAX_CHUNKS = 128
MAX_ARTIFACTS = 512
"""Artifacts of all chunks of an action together."""
MAX_METADATA = 2048
"""Entries of metadata of all chunks of an action together."""
MAX_MESSAGES = 1000
"""Messages of the history of an action."""
MAX_ID = 256
MAX_NAME = 512
MAX_VALUE = 8192
MAX_LINK = 4096
MAX_ARTIFACT_BYTES = 1 << 30
"""Bytes of an artifact. A package for the largest device of today has less than 16 MiB."""
MAX_DETAILS = 20
"""Messages in one feedback. hawkBit takes 50 (``maxMessagesPerActionStatus``)."""
MAX_DETAIL = 500
"""Characters of a message. hawkBit cuts a message into pieces of 512 (``JpaActionStatus``)."""
MAX_ATTRIBUTES = 100
"""Attributes of a target (``maxAttributeEntriesPerTarget``)."""
MAX_ATTRIBUTE = 128
"""Characters of the name and of the value of an attribute (``Target.CONTROLLER_ATTRIBUTE_MAX_*_SIZE``)."""
