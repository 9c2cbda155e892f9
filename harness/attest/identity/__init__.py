"""Who attests: endorsement by TPM makers and enrolment of keys."""
