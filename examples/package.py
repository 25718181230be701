"""Sign the firmware of both cores, and write the package and its images.

python package.py KEY.pem MERGED.hex VERSION FOLDER
"""

import sys
from pathlib import Path

from smpdfu import PackageRequest, Version, load_private, make_package

key_file, merged, version, folder = sys.argv[1:]
key = load_private(Path(key_file).read_bytes())
made = make_package(PackageRequest(Version.from_text(version), merged=merged), key)
for warning in made.warnings:
    print(warning.message, file=sys.stderr)
Path(folder).mkdir(parents=True, exist_ok=True)
for name, data in made.files().items():
    (Path(folder) / name).write_bytes(data)
