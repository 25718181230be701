"""Changes of loaders/, and of the parts of dfu/ that reason by it, that must be noticed."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

FATE, PROVES, RULES, CONSOLE, RELEASES, LINES = (
    f"smpdfu/loaders/{name}.py" for name in ("fate", "proof", "rules", "console", "releases", "lines")
)
PROOF, EVIDENCE, CHECKS, IDENTITY = (
    f"smpdfu/dfu/decide/{name}.py" for name in ("proof", "evidence", "checks/loader/loaders", "identity")
)
IN_FATE, IN_PROVES, IN_RULES, IN_CONSOLE, IN_RELEASES, IN_LINES = (
    (f"tests/loaders/test_loaders_{name}.py",) for name in ("fate", "proof", "rules", "console", "releases", "lines")
)
IN_EVIDENCE, IN_IDENTITY = ("tests/dfu/test_dfu_evidence.py",), ("tests/dfu/test_dfu_identity.py",)
IN_CHECKS = ("tests/dfu/test_dfu_preflight_loaders.py",)

ROWS = (
    # What a loader does with an image.
    Mutant(FATE, "    if build.checks_header and seen.address is None:\n", "    if False:\n", IN_FATE, equal="without an address the image counts as one for 0, which lies in no slot: the check of the address erases it, too"),
    Mutant(FATE, "    vector = None if build.by_offset else seen.vector\n", "    vector = seen.vector\n", IN_FATE),
    Mutant(FATE, "build.by_offset or seen.encrypted or elsewhere else", "build.by_offset or elsewhere else", IN_FATE),
    Mutant(RULES, "return vector is not None and vector > NET_FLASH_START\n", "return vector is not None and vector >= NET_FLASH_START\n", IN_RULES),
    Mutant(RULES, "self.checks_header or (self.checks_vector and not self.encrypts)", "self.checks_header or self.checks_vector", IN_RULES),
    Mutant(RULES, "return self.staged and self.rule.spares_network and place in net", "return self.rule.spares_network and place in net", IN_RULES),
    Mutant(RULES, "first = NET_FLASH_START if self.loader.partitions is Partitions.PM else net.start", "first = NET_FLASH_START", IN_RULES),
    Mutant(RULES, "checks_vector=(not staged or second_stage) and overwrites and not encrypts", "checks_vector=(not staged or second_stage) and not encrypts", IN_RULES),
    # What the list after a reset proves.
    Mutant(PROVES, "if build.by_offset or seen in (Picture.GONE, Picture.PENDING) else", "if seen in (Picture.GONE, Picture.PENDING) else", IN_PROVES),
    Mutant(PROVES, "    if not build.looks_for_network or build.by_offset:\n", "    if not build.looks_for_network:\n", IN_PROVES),
    Mutant(PROVES, "if len(possible) == 1 else None", "if possible else None", IN_PROVES),
    # What a console says of a boot.
    Mutant(CONSOLE, "            return None if refused is taken else taken\n", "            return taken\n", IN_CONSOLE),
    Mutant(CONSOLE, "return False if self.open and told_start and refused else None", "return False if told_start and refused else None", IN_CONSOLE),
    Mutant(CONSOLE, "next(iter(taken)) if len(taken) == 1 else None", "last.network_taken", IN_CONSOLE),
    Mutant(CONSOLE, "plain(text[-MAX_TEXT:])", "plain(text[:MAX_TEXT])", IN_CONSOLE),
    Mutant(RELEASES, "        return (RELEASES[RELEASES.index(same[-1]) + 1],)\n", "        return (same[-1],)\n", IN_RELEASES),
    Mutant(RELEASES, "    return len(commit) >= 7 and (", "    return (", IN_RELEASES),
    Mutant(LINES, "in (Generation.G5, Generation.UPSTREAM) else", "in (Generation.G5,) else", IN_LINES),
    # Evidence: what no clue excludes is possible, and nothing else counts as proof.
    Mutant(EVIDENCE, "        found &= clue.loaders\n", "        found = clue.loaders\n", IN_EVIDENCE),
    Mutant(EVIDENCE, "    if seen is Picture.GONE and taken is None:\n", "    if False:\n", IN_EVIDENCE),
    Mutant(EVIDENCE, "replace(clue, source=Source.JOURNAL, text=", "replace(clue, text=", IN_EVIDENCE),
    Mutant(EVIDENCE, "isinstance(start, int) and start in NET else None", "isinstance(start, int) else None", IN_EVIDENCE),
    Mutant(PROOF, "    if len({proof.value for proof in known}) > 1:\n", "    if False:\n", IN_EVIDENCE),
    Mutant(PROOF, "    if value and not is_surely_handed_over(image, sure):\n", "    if False:\n", IN_EVIDENCE),
    Mutant(PROOF, "(slot.image, slot.slot) != (1, 0)]", "(slot.image, slot.slot) != (9, 9)]", IN_EVIDENCE),
    Mutant(PROOF, "    return None if any(slot.hash is None for slot in waiting) else Picture.GONE\n", "    return Picture.GONE\n", IN_EVIDENCE),
    # Preflight by loader.
    Mutant(CHECKS, "Severity.ERROR if len(hit) == len(among) else Severity.WARNING\n", "Severity.WARNING\n", IN_CHECKS),
    Mutant(CHECKS, "found <= {Fate.HANDED_OVER, Fate.ERASED}", "True", IN_EVIDENCE),
    Mutant(CHECKS, "return tuple(build for build in state.builds if build.by_offset is by_offset)", "return tuple(state.builds)", IN_EVIDENCE),
    Mutant(CHECKS, "    if builds and sure.net is None and image.code_address != USUAL_NET_START:\n        return False", "    if False:\n        return False", IN_CHECKS),
    # The same device as before.
    Mutant(IDENTITY, "step.action in _STEADY and step.core is Core.APP and self.running", "step.core is Core.APP and self.running", IN_IDENTITY),
    Mutant(IDENTITY, "self.hardware is not None and now.hardware is not None and self.hardware != now.hardware", "now.hardware is not None and self.hardware != now.hardware", IN_IDENTITY),
    Mutant(IDENTITY, "found[1].lower()", "found[1]", IN_IDENTITY),
)  # fmt: skip
