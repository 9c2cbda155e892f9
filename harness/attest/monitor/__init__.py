"""Re-attests machines at intervals and reports what changes."""
