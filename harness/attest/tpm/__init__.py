"""TPM 2.0 structures, algorithms, keys and credentials."""
