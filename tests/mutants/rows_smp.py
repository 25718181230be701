"""Changes of smp/ and client/ that must be noticed."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

SESSION, FRAMING, CHUNKS = "smpdfu/smp/session.py", "smpdfu/smp/framing.py", "smpdfu/smp/transfer/chunks.py"
MESSAGE, CBOR, WINDOW, UPLOAD = (
    f"smpdfu/smp/{name}.py" for name in ("message", "cbor", "transfer/window", "transfer/upload")
)
IN_SESSION, IN_FRAMING = ("tests/smp/test_smp_session.py",), ("tests/smp/test_smp_framing.py",)
IN_UPLOAD = ("tests/smp/test_smp_upload.py", "tests/smp/test_smp_upload_events.py")
HEARING, IN_HEARING = "smpdfu/smp/transfer/hearing.py", ("tests/smp/test_smp_hearing.py",)
IN_WINDOW = ("tests/smp/test_smp_window.py",)
IN_MESSAGE = ("tests/smp/test_smp_message.py", "tests/smp/test_smp_session.py")
IN_CBOR = ("tests/smp/test_smp_cbor.py",)

ROWS = (
    # An answer is taken for the request that it is of, and for no other.
    Mutant(SESSION, "request.op + 1)", "header.op)", IN_SESSION),
    Mutant(SESSION, "if ticket is None or header.version > _NEWEST:", "if ticket is None:", IN_SESSION),
    Mutant(SESSION, "        while self._next in self._open:\n", "        while False:\n", IN_SESSION),
    Mutant(SESSION, "        self.close(ticket)\n", "", IN_SESSION),
    Mutant(SESSION, "        if not self._proven and self._doubted:\n", "        if self._doubted:\n", IN_SESSION),
    Mutant(SESSION, "        if not self._proven:\n            self.version = 3", "        if True:\n            self.version = 3", IN_SESSION),
    Mutant(SESSION, "if too_new and self.version == 2:", "if too_new:", IN_SESSION),
    # A body that is not as long as its header says is damaged.
    Mutant(MESSAGE, "if len(body) != self.length:", "if len(body) < self.length:", IN_MESSAGE),
    Mutant(MESSAGE, "if len(body) > 0xFFFF:", "if len(body) > 0x10000:", IN_MESSAGE),
    Mutant(MESSAGE, 'error = entries.get("err")', "error = None", IN_MESSAGE),
    # Console framing: the length and the CRC are what tells a frame from noise.
    Mutant(FRAMING, "        if length > 0xFFFF:\n", "        if length > 0x1FFFF:\n", IN_FRAMING),
    Mutant(FRAMING, "return size - _LENGTH_SIZE - _CRC_SIZE", "return size - _LENGTH_SIZE", IN_FRAMING),
    Mutant(FRAMING, "// 4 * 4\n        if self._step < 4:", "// 4 * 4 + 4\n        if self._step < 4:", IN_FRAMING),
    Mutant(FRAMING, 'self._line.rstrip(b"\\r")', "self._line", IN_FRAMING),
    # What a stranger's bytes may become.
    Mutant(CBOR, "            max_depth=MAX_DEPTH,\n", "", IN_CBOR),
    Mutant(CBOR, "            semantic_decoders=_NO_TAGS,\n", "", IN_CBOR),
    Mutant(CBOR, '            str_errors="replace",\n', "", IN_CBOR),
    # Chunks: whole write blocks, a first one with the whole header, no message longer than allowed.
    Mutant(CHUNKS, "if size >= min(IMAGE_HEADER_SIZE, self.total):", "if size > 0:", IN_UPLOAD),
    Mutant(CHUNKS, "- HEADER_SIZE - len(opening.to_body()) + 1)", "- HEADER_SIZE - len(opening.to_body()) + 2)", IN_UPLOAD),
    Mutant(CHUNKS, "return size // _UNIT * _UNIT or", "return size or", IN_UPLOAD),
    Mutant(CHUNKS, "        if chunk.first:\n", "        if False:\n", IN_UPLOAD),
    # Uploads: never more in flight than allowed, and no end before the device has all.
    Mutant(UPLOAD, ">= (1 if self._alone else self.window):", "> (1 if self._alone else self.window):", IN_UPLOAD),
    Mutant(UPLOAD, "        self.retries += chunk.request.off < self._sent\n", "", IN_UPLOAD),
    Mutant(UPLOAD, "        if self._next >= self._total and not self.flight:\n", "        if False:\n", IN_UPLOAD, equal="a guard that no order of answers reaches: of the chunks in flight the last one has the highest number, so its answer completes the upload or sets DRAIN"),
    Mutant("smpdfu/smp/transfer/trips.py", "        self._silences += 1\n", "", IN_WINDOW),
    Mutant(HEARING, "(wire or not self._deaf)", "True", IN_HEARING),
    Mutant(HEARING, "        if self._misses and not wire:\n", "        if not wire:\n", IN_HEARING),
    Mutant(WINDOW, "kind is not Fault.FULL", "1", IN_HEARING),
    Mutant(WINDOW, "room = _UNTOLD if buffers is None else max(1, buffers - 1)", "room = _UNTOLD if buffers is None else buffers", IN_WINDOW),
    Mutant(WINDOW, "self._most = min(reach, _MOST, bound or _MOST)", "self._most = min(reach, _MOST)", IN_WINDOW),
    # Where numbers begin.
    Mutant("smpdfu/client/exchange.py", "first_sequence=os.urandom(1)[0]", "first_sequence=0", ("tests/client/test_client_sequence.py",)),
)  # fmt: skip
