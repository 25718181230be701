"""Changes of virtual/ that must be noticed, and those of the health command."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

SLOT, MOVE, DECISION = (f"smpdfu/virtual/boot/{name}.py" for name in ("slot", "swap/move", "swap/swap_type"))
SWAP, OVERWRITE, NETCORE, PAIR = (
    f"smpdfu/virtual/boot/{name}.py" for name in ("swap/swap", "swap/overwrite", "network/netcore", "image_pair")
)
HIGHER, XIP, RAM_LOAD, SINGLE = (
    f"smpdfu/virtual/boot/{name}.py"
    for name in ("modes/higher_version", "modes/direct_xip", "modes/ram_load", "modes/single")
)
EXPECTED = "smpdfu/virtual/server/next_boot.py"
IN_PLACE, IN_RAM = ("tests/virtual/test_virtual_direct_xip.py",), ("tests/virtual/test_virtual_ram_load.py",)
IN_MODES = ("tests/virtual/test_virtual_modes_smp.py",)
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
    # Modes in which MCUboot swaps nothing: which slot is started, what is erased, what the server tells.
    Mutant(HIGHER, "raw_header().version, -number)", "raw_header().version, number)", IN_PLACE),
    Mutant(HIGHER, "            slot.area.erase_all()\n            self.log(f\"E: Image in the", "            self.log(f\"E: Image in the", IN_PLACE),
    Mutant(HIGHER, "skips_encrypted and self._is_unreadable(header)", "skips_encrypted and False", IN_PLACE),
    Mutant(XIP, "or header.load_addr == offset:", "or True:", IN_PLACE),
    Mutant(XIP, 'if trailer.magic != "good" or (', "if (", IN_PLACE),
    Mutant(XIP, "                slot.write_copy_done()\n", "                pass\n", IN_PLACE),
    Mutant(XIP, 'return self.places[number].trailer().image_ok == "set"', "return True", IN_PLACE),
    Mutant(RAM_LOAD, "if at < ram.start or end > ram.end:", "if at < ram.start:", IN_RAM),
    Mutant(RAM_LOAD, "return image.reset_vector if key is None else", "return image.reset_vector if True else", IN_RAM),
    Mutant(SINGLE, "    if header.flags & Flag.NON_BOOTABLE:\n", "    if False:\n", IN_RAM),
    Mutant(EXPECTED, "if _mark_of(runs) is _Mark.REVERT:", "if False:", IN_MODES),
    Mutant(EXPECTED, "if _is_higher(slots, active) else SwapType.NONE\n\n\nclass", "if True else SwapType.NONE\n\n\nclass", IN_MODES),
    Mutant(SLOT, "        if confirm and trailer.copy_done == \"unset\":\n", "        if False:\n", IN_MODES),
)  # fmt: skip
