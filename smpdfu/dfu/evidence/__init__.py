"""Release evidence: what a package contains (an SBOM), how it was made (provenance), and whether both fit it."""
