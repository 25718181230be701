"""Do what was decided, step by step on the device, with a journal."""
