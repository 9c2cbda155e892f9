"""Runs in a guest: increments the counter in its vTPM and has the identity key certify it.

Arguments: the key's persistent handle, and the TCTI. Each line of standard input is a request,
``{"qualifying": HEX}``, and gets one line of JSON: ``{"attest": HEX, "signature": HEX}``. The counter is
defined when it is first needed. Needs python3-tpm2-pytss; sent over the channel, so nothing is installed.
"""

import json
import sys

from tpm2_pytss import (
    ESAPI,
    ESYS_TR,
    TPM2_ALG,
    TPM2B_NV_PUBLIC,
    TPMS_NV_PUBLIC,
    TPMT_SIG_SCHEME,
    TSS2_Exception,
)

INDEX, ATTRIBUTES, COUNTER_BYTES = 0x01805D01, 1 << 2 | 1 << 4 | 1 << 18 | 1 << 25, 8
_HANDLE_MISSING = 0x18B
"""TPM_RC_HANDLE for the first handle (TPM 2.0 Library, Part 2, 6.6.3)."""


def counter(tpm: ESAPI) -> ESYS_TR:
    """The counter; defined if it is not there."""
    try:
        return tpm.tr_from_tpmpublic(INDEX)
    except TSS2_Exception as error:
        if error.rc & 0xFFF != _HANDLE_MISSING:
            raise
    area = TPMS_NV_PUBLIC(
        nvIndex=INDEX, nameAlg=TPM2_ALG.SHA256, attributes=ATTRIBUTES, dataSize=COUNTER_BYTES
    )
    return tpm.nv_define_space(b"", TPM2B_NV_PUBLIC(nvPublic=area), auth_handle=ESYS_TR.OWNER)


def look(tpm: ESAPI, key: int, qualifying: bytes) -> dict[str, str]:
    """Increment the counter once, and have it certified."""
    index = counter(tpm)
    tpm.nv_increment(index, auth_handle=index)
    signer = tpm.tr_from_tpmpublic(key)
    scheme = TPMT_SIG_SCHEME(scheme=TPM2_ALG.NULL)
    attest, signature = tpm.nv_certify(
        signer, index, qualifying, scheme, COUNTER_BYTES, offset=0, auth_handle=index
    )
    said = {"attest": bytes(attest).hex(), "signature": signature.marshal().hex()}
    tpm.tr_close(signer)
    tpm.tr_close(index)
    return said


def main() -> None:
    """Answer until standard input ends."""
    with ESAPI(sys.argv[2]) as tpm:
        for line in sys.stdin:
            print(
                json.dumps(look(tpm, int(sys.argv[1], 16), bytes.fromhex(json.loads(line)["qualifying"]))),
                flush=True,
            )


if __name__ == "__main__":
    main()
