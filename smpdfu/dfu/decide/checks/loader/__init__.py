"""The checks that depend on the release and the build of the bootloader."""
