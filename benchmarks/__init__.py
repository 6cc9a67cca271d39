"""Programs that measure the package; run them from the repository's root."""
