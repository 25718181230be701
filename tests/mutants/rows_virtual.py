"""Changes of virtual/ that must be noticed, and those of the health command."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

SLOT, MOVE, DECISION = (f"smpdfu/virtual/boot/{name}.py" for name in ("slot", "swap/move", "swap/swap_type"))
SWAP, OVERWRITE, NETCORE, PAIR = (
    f"smpdfu/virtual/boot/{name}.py" for name in ("swap/swap", "swap/overwrite", "netcore", "image_pair")
)
IN_BYTES, IN_SWAP = ("tests/virtual/test_virtual_trailer_bytes.py",), ("tests/virtual/test_virtual_swap.py",)
IN_BOOT = ("tests/virtual/test_virtual_bootloader.py", "tests/virtual/test_virtual_swap.py")
IN_NET = ("tests/virtual/test_virtual_netcore.py",)
IN_CUTS = ("tests/virtual/test_virtual_power_cuts.py::test_a_cut_at_any_operation_is_continued_at_the_next_boot",)
IN_HEALTH = ("tests/dfu/test_dfu_health.py",)

BIG = "        return int.from_bytes(self.area.read(fields.swap_size_offset(self.geometry), 4), "

ROWS = (
    # The bytes of the record: writer and reader could be wrong together.
    Mutant(SLOT, 'size_bytes.to_bytes(4, "little")', 'size_bytes.to_bytes(4, "big")', IN_BYTES),
    Mutant(SLOT, BIG + '"little")', BIG + '"big")', IN_BYTES),
    Mutant(SLOT, "bytes([image << 4 | swap_type])", "bytes([swap_type << 4 | image])", IN_BYTES),
    Mutant(SLOT, "for index in range(1, trailer_sectors(self.geometry) + 1):", "for index in range(1, 2):", IN_BYTES),
    # A revert, and the marks that decide.
    Mutant(MOVE, "        self._make_revert_permanent(status)\n        if status.step is Step.MOVE:\n", "        if status.step is Step.MOVE:\n", IN_BYTES),
    Mutant(MOVE, "        self._write_status(status)\n        status.index += 1\n", "        status.index += 1\n", IN_CUTS),
    Mutant(MOVE, "            self._write_status(status)\n            status.state = 2\n", "            status.state = 2\n", IN_CUTS),
    Mutant(DECISION, 'if secondary.magic == "good" and secondary.image_ok == "set":', 'if secondary.magic == "good":', IN_SWAP),
    Mutant(DECISION, '("good", "set", "unset")', '("good", "unset", "unset")', IN_SWAP),
    Mutant(DECISION, 'reverts = mode is SwapMode.OFFSET and secondary', "reverts = secondary", IN_BYTES),
    # The cipher on the way between the slots, room for the trailer, the order of a copy.
    Mutant(SWAP, "header.hdr_size + header.img_size\n            self._stream", "header.hdr_size + header.img_size - 1\n            self._stream", IN_SWAP),
    Mutant(SWAP, "        if required <= free:\n", "        if required <= free + 1:\n", IN_SWAP),
    Mutant(SWAP, "    if confirmed:\n        target.write_image_ok()\n", "", IN_SWAP),
    Mutant(OVERWRITE, "        primary.erase_trailer()\n", "", ("tests/virtual/test_virtual_bootloader.py", "tests/virtual/test_virtual_refusals.py")),
    Mutant(OVERWRITE, "    slot.area.erase(slot.area.size_bytes - sector, sector)\n", "", ("tests/virtual/test_virtual_bootloader.py", "tests/virtual/test_virtual_netcore.py")),
    # The network core.
    Mutant(NETCORE, "        if reason is not None:\n            self._log(reason)\n            self._log(f\"Unable", "        if False:\n            self._log(reason)\n            self._log(f\"Unable", IN_NET),
    Mutant(NETCORE, "        if target + len(firmware) > self.layout.flash.end:\n", "        if False:\n", IN_NET),
    Mutant(NETCORE, "        self.ram[:] = bytes(len(self.ram))\n", "", IN_NET),
    Mutant(PAIR, "        if swap_type is SwapType.NONE or not self.candidate.is_valid(swap_type):\n", "        if swap_type is SwapType.NONE:\n", IN_BOOT),
    Mutant("smpdfu/virtual/boot/candidate.py", "            self.slot.area.erase_all()\n            self.log(\"E: Image in the secondary slot is not valid!\")\n", "            self.log(\"E: Image in the secondary slot is not valid!\")\n", IN_BOOT),
    # What runs beside an update ends with it.
    Mutant("smpdfu/dfu/do/health.py", "os.killpg(process.pid, signal.SIGKILL)", "process.kill()", IN_HEALTH),
    Mutant("smpdfu/untrusted/programs.py", "{ read -r line <&3 || kill -KILL 0; } </dev/null >/dev/null 2>&1 &\n", "", IN_HEALTH),
    Mutant("smpdfu/untrusted/programs.py", "            os.write(writing, b\"\\n\")\n", "            pass\n", IN_HEALTH),
)  # fmt: skip
