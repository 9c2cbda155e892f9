"""Where what lies in an artifact."""

from __future__ import annotations

from harness.evidence import signature

EVIDENCE = "evidence"
"""Below it a folder for each campaign, and in that an archive for each run, by the run's name."""
CLAIMS = "claims"
VERDICTS = "verdicts"
STATEMENT = "verdicts/verdicts.json"
APPENDIX = "appendix"
PROGRAM = "program"
LOCK = "program/requirements.lock"
SBOM = "sbom/sodbench.cdx.json"
CRATE = "ro-crate-metadata.json"
SUMS = "SHA256SUMS"
"""Every file but itself and the signature, in the form of sha256sum(1)."""

KIND = signature.Kind("artifact", f"{signature.TRUSTED}; --unsigned checks without that")
"""What its signature says it vouches for."""
