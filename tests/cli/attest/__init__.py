"""`sodbench attest` from its command line to a real TPM; a process takes the place of SSH."""
