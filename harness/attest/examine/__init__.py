"""One examination: ask an attester, verify what it answers, keep the outcome."""
