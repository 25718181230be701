"""Sign a firmware file, and check the image as the bootloader does.

python sign.py KEY.pem FIRMWARE.bin VERSION IMAGE.bin
"""

import sys
from pathlib import Path

from smpdfu import ImageSpec, SwapMode, Version, build, load_private, verify

key_file, firmware, version, output = sys.argv[1:]
key = load_private(Path(key_file).read_bytes())
spec = ImageSpec(
    Version.from_text(version), header_size=0x200, slot_size=0x7A000, pad_header=True, align=4, swap_mode=SwapMode.MOVE
)
image = build(spec, Path(firmware).read_bytes(), key)
verdict = verify(image, [key.public])
if not verdict.accepted:
    sys.exit(f"the bootloader would refuse the image: {verdict.refusals}")
Path(output).write_bytes(image.to_bytes())
