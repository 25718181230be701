"""What preflight checks before the first write: one file per subject, one finding per fault."""
