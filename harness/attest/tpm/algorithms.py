"""The algorithm numbers of a TPM that anything here reads (TCG TPM 2.0 Library, Part 2, 6.3 and 6.4).

Only names for numbers: which of them are good enough is for those who use them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

from harness.attest.evidence import Bank


class Alg(IntEnum):
    """TPM_ALG_ID (6.3), as far as anything here reads it."""

    RSA = 0x0001
    SHA1 = 0x0004
    HMAC = 0x0005
    AES = 0x0006
    KEYEDHASH = 0x0008
    SHA256 = 0x000B
    SHA384 = 0x000C
    SHA512 = 0x000D
    NULL = 0x0010
    SM4 = 0x0013
    RSASSA = 0x0014
    RSAES = 0x0015
    RSAPSS = 0x0016
    OAEP = 0x0017
    ECDSA = 0x0018
    ECDH = 0x0019
    ECDAA = 0x001A
    SM2 = 0x001B
    ECC = 0x0023
    CFB = 0x0043


NIST_P256 = 0x0003
"""TPM_ECC_NIST_P256 (6.4)."""
NIST_P384 = 0x0004
"""TPM_ECC_NIST_P384."""

CURVES: Mapping[int, str] = MappingProxyType(
    {0x0001: "p192", 0x0002: "p224", NIST_P256: "p256", NIST_P384: "p384", 0x0005: "p521", 0x0020: "sm2"}
)
"""Curves by their names in types of keys, whether used here or not (6.4)."""

HASHES: Mapping[int, str] = MappingProxyType(
    {Alg.SHA1: "sha1", Alg.SHA256: "sha256", Alg.SHA384: "sha384", Alg.SHA512: "sha512"}
)
"""Hash algorithms by the names of :mod:`hashlib`."""

BANK_ALG: Mapping[Bank, int] = MappingProxyType({"sha256": Alg.SHA256, "sha384": Alg.SHA384})
"""The algorithm that stands for a bank in a PCR selection."""

NAME_ALGS = frozenset({Alg.SHA256, Alg.SHA384, Alg.SHA512})
"""Hashes whose names are believed; a name by SHA-1 could be another object's as well."""
