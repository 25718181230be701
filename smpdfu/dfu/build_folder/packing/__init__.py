"""The package of a build folder: what contradicts itself, the firmware, the keys, the images."""
