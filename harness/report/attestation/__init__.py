"""The report's section on attestation."""
