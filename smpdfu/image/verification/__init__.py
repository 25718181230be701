"""Judge an image: would a bootloader accept it, and why not."""
