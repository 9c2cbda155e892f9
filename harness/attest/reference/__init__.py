"""What a machine should be: appraisal policies and reference values."""
