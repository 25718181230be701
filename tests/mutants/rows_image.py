"""Changes of image/ and untrusted/ that must be noticed."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

TRAILER, KEYS, FILES, VERIFY = (
    f"smpdfu/image/{name}.py" for name in ("trailer", "keys/keys", "files", "verification/verify")
)
ARCHIVE, YAML, TEXT, INPUT = (f"smpdfu/untrusted/{name}.py" for name in ("archive", "yamltext", "text", "files"))
PROGRAMS = "smpdfu/untrusted/programs.py"
IN_PROGRAMS = ("tests/untrusted/test_untrusted_programs.py",)
PROTECTED, NESTING = "smpdfu/image/signing/protected_tlvs.py", "smpdfu/untrusted/nesting.py"
IN_BUILD, IN_COMPRESS = (
    ("tests/image/test_image_build.py", "tests/image/test_image_format.py"),
    ("tests/image/test_image_compress.py",),
)
IN_NESTING = ("tests/test_nesting.py",)
IN_TRAILER = ("tests/image/test_image_trailer.py",)
IN_VERIFY = ("tests/image/test_image_verify.py",)
IN_KEYS = ("tests/image/test_image_keys.py", "tests/image/test_image_signature.py")
IN_BOUNDS = ("tests/image/test_image_key_bounds.py",)
IN_OUTPUTS = ("tests/cli/test_cli_outputs.py", "tests/image/test_image_files_writing.py")
IN_ARCHIVE, IN_YAML, IN_TEXT, IN_INPUT = (
    (f"tests/untrusted/test_untrusted_{name}.py",) for name in ("archive", "yamltext", "text", "files")
)

ROWS = (
    # Where the fields of a trailer are.
    Mutant(TRAILER, "return image_ok_offset(g) - g.max_align", "return image_ok_offset(g) - 2 * g.max_align", IN_TRAILER),
    Mutant(TRAILER, "return swap_info_offset(g) - _tlv_sizes_bytes(g) - g.max_align", "return swap_info_offset(g) - g.max_align", IN_TRAILER),
    Mutant(TRAILER, "kind if kind in (2, 3, 4) else 1", "kind if kind in (2, 3) else 1", IN_TRAILER),
    Mutant(TRAILER, "(2 if g.mode is SwapMode.OFFSET else 3)", "3", IN_TRAILER),
    Mutant(TRAILER, "    if found == wanted:\n        return \"good\"\n", "    if found[:8] == wanted[:8]:\n        return \"good\"\n", IN_TRAILER),
    Mutant(TRAILER, "    if len(image) > limit:\n", "    if len(image) > limit + 1:\n", IN_TRAILER),
    # What a bootloader refuses.
    Mutant(VERIFY, "        if flags & Flag.NON_BOOTABLE:\n", "        if False:\n", IN_VERIFY),
    Mutant(VERIFY, "            if tlv.data == value:\n                continue\n", "            if tlv.data[:4] == value[:4]:\n                continue\n", IN_VERIFY),
    Mutant(VERIFY, "if one.stops), outcomes[-1])", "if one.stops), outcomes[0])", IN_VERIFY),
    Mutant(VERIFY, "if self.image.encrypted and header.hdr_size % 16:", "if self.image.encrypted and header.hdr_size % 8:", IN_VERIFY),
    Mutant(VERIFY, 'if not self.image.encrypted or self.role == "primary":', "if not self.image.encrypted:", IN_VERIFY),
    # Keys.
    Mutant(KEYS, "deterministic_signing=True", "deterministic_signing=False", IN_KEYS),
    Mutant(KEYS, "        except (InvalidSignature, ValueError):  # ValueError", "        except InvalidSignature:  # ValueError", ("tests/image/test_image_signature.py",)),
    Mutant("smpdfu/image/keys/pem_text.py", "if len(block[1]) > MAX_PEM_BLOCK_BYTES:", "if False:", IN_BOUNDS),
    Mutant("smpdfu/image/keys/kdf.py", "if size > MAX_SCRYPT_BYTES or more[0] > _MAX_PARALLEL:", "if size > MAX_SCRYPT_BYTES:", IN_BOUNDS),
    Mutant("smpdfu/image/keys/kdf.py", "if most > MAX_ITERATIONS else", "if False else", IN_BOUNDS),
    Mutant("smpdfu/image/hexfile.py", "if len(text) > MAX_ODD_BYTES:", "if False:", IN_BOUNDS),
    Mutant("smpdfu/image/signers/__init__.py", "        withhold(name)", "        pass", IN_BOUNDS),
    Mutant(PROGRAMS, "if name not in _withheld}", "}", IN_PROGRAMS),
    Mutant(PROGRAMS, "|| kill -KILL 0;", "|| exit;", IN_PROGRAMS),
    # Files: whole or not at all, private, and never over a key.
    Mutant(FILES, "return mode & os.stat(path).st_mode", "return mode", IN_OUTPUTS),
    Mutant(FILES, "if overwrite and not replace_keys and holds_private_key(target):", "if False:", IN_OUTPUTS),
    Mutant(FILES, "mode=0o600, overwrite=overwrite", "overwrite=overwrite", IN_KEYS),
    Mutant(FILES, "    if overwrite:\n        os.replace(source, target)\n        return\n", "    os.replace(source, target)\n    return\n", IN_OUTPUTS),
    # Archives, YAML, text, pipes.
    Mutant(ARCHIVE, "packed, info.file_size + 1)", "packed)", IN_ARCHIVE),
    Mutant(ARCHIVE, " or zlib.crc32(found) != info.CRC:", ":", IN_ARCHIVE),
    Mutant(ARCHIVE, "if info.compress_type not in _METHODS:", "if False:", IN_ARCHIVE),
    Mutant(ARCHIVE, "        if info.file_size > limit:\n", "        if False:\n", IN_ARCHIVE),
    Mutant(ARCHIVE, "if data.count(_CENTRAL_HEADER) > 2 * MAX_MEMBERS:", "if False:", IN_ARCHIVE, equal="the count of the members that follows refuses the same archives; this one only spares the time to build them"),
    Mutant(YAML, "        if depth > MAX_DEPTH:\n", "        if False:\n", IN_YAML),
    Mutant(YAML, "        if number == MAX_EVENTS:\n", "        if False:\n", IN_YAML),
    Mutant(YAML, "        if in_anchor and not", "        if False and not", IN_YAML),
    Mutant(YAML, "isinstance(event, kinds.MappingStartEvent) and event.anchor is not None:", "False:", IN_YAML),
    Mutant(YAML, '    if getattr(event, "tag", None) is not None:\n', "    if False:\n", IN_YAML),
    Mutant(TEXT, 'for one in text.split("\\n"))', 'for one in text.splitlines())', IN_TEXT),
    Mutant(TEXT, "one if one.isprintable() else REPLACED for", "one if one >= ' ' else REPLACED for", IN_TEXT),
    Mutant(NESTING, "        if level > limit:\n            raise TooDeepError(limit)\n        deepest", "        if False:\n            raise TooDeepError(limit)\n        deepest", IN_NESTING),
    Mutant(NESTING, "    except RecursionError:\n        raise TooDeepError(limit) from None\n", "    except MemoryError:\n        raise TooDeepError(limit) from None\n", IN_NESTING),
    Mutant(NESTING, "deepest.get(id(one), 0) >= level", "False", ("tests/test_nesting.py::test_aliases_that_multiply_or_hold_themselves_end",)),
    Mutant(NESTING, "(?:[^\"\\\\]+|\\\\.)*\"?|", "[^\"]*\"?|", IN_NESTING),
    # Protected TLVs: bootloaders tell them by where they lie.
    Mutant(PROTECTED, "    if protected_size_bytes(tlvs) > 0xFFFF:\n", "    if False:\n", IN_BUILD),
    Mutant(PROTECTED, "    if tlvs and not tlvs[-1].data:\n", "    if False:\n", ("tests/image/test_image_verify_builds.py",)),
    Mutant(PROTECTED, "*compression, *_after_compression(spec))", "*_after_compression(spec), *compression)", IN_COMPRESS),
    Mutant(PROTECTED, "counter.to_bytes(4, spec.endian)", 'counter.to_bytes(4, "little")', IN_BUILD),
    Mutant(PROTECTED, "version = replace(spec.version, build=0)", "version = spec.version", IN_BUILD),
    Mutant(INPUT, "if waits and not _has_bytes(", "if False and not _has_bytes(", IN_INPUT),
    Mutant("smpdfu/link/ble/controllers.py", "(?!.*://)", "", ("tests/cli/test_cli_foreign_folder.py",)),
    Mutant("smpdfu/cli/app/config_file.py", "reason = _unsafe(found) if self.is_here else None", "reason = None", ("tests/cli/test_cli_foreign_folder.py",)),
    Mutant("smpdfu/local/state/own.py", '    getattr(os, "O_NOFOLLOW", 0)\n    | ', "    ", ("tests/local/test_local_own.py",)),
    Mutant("smpdfu/local/state/own.py", "if found.st_nlink > 1 else", "if False else", ("tests/local/test_local_own.py",)),
)  # fmt: skip
