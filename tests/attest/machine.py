"""A whole machine without a machine: a certified software TPM, its logs, and the real attester's program."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.attest.identity import authorities
from harness.attest.identity.authorities import Authorities
from harness.attest.played import logs
from harness.attest.played.local_attester import LocalAttester
from harness.attest.played.local_tpm import LocalTpm, running
from harness.attest.played.logs import Line, Measured
from harness.clock import MonotonicClock
from tests.attest import ek_certificates


@dataclass(kw_only=True)
class Machine:
    """A machine whose firmware and kernel have measured what `boot` and `use` say.

    Attributes:
        folder: Its files.
        tpm: Its TPM.
        attester: The program that quotes, in a process of its own.
        authority: Folder of the authority that certified its TPM.
    """

    folder: Path
    tpm: LocalTpm
    attester: LocalAttester
    authority: Path
    events: list[Measured] = field(default_factory=list)
    files: list[Line] = field(default_factory=list)

    @property
    def authorities(self) -> Authorities:
        """Who vouches for its TPM."""
        names = ("swtpm-localca-rootca-cert.pem", "issuercert.pem")
        text = b"".join((self.authority / name).read_bytes() for name in names)
        return authorities.parse(text, where=str(self.authority))

    def measure(self, events: Sequence[Measured]) -> None:
        """Measure `events` as firmware does."""
        extends = [
            f"{one.pcr}:sha256={one.digest('sha256').hex()}"
            for one in events
            if one.type != logs.EV_NO_ACTION
        ]
        self.tpm.run("tpm2_pcrextend", *extends)
        self.events += events
        (self.folder / "event_log").write_bytes(logs.event_log(self.events))

    def use(self, files: Sequence[Line]) -> None:
        """Measure `files` as the kernel does before it executes them."""
        extends = [f"10:sha256={logs.hashed('sha256', one.data).hex()}" for one in files]
        self.tpm.run("tpm2_pcrextend", *extends)
        self.files += files
        (self.folder / "ima").write_bytes(logs.ima_list(self.files))

    def start(self) -> None:
        """Boot: firmware and boot loader, then a few programs."""
        self.measure(logs.boot(16))
        values = logs.extended(self.events, "sha256")
        firmware = b"".join(values.get(pcr, bytes(32)) for pcr in range(10))
        aggregate = Line(path=b"boot_aggregate", content=firmware, template="ima-sig")
        self.use([aggregate, *logs.running_system(6)[1:]])


@contextlib.contextmanager
def machine(folder: Path, *, authority: Path | None = None, rsa_bits: int = 2048) -> Iterator[Machine]:
    """A machine that has booted, until the block ends; `authority` is shared with others, or its own."""
    authority = authority or folder / "authority"
    ek_certificates.manufacture(folder / "state", authority, rsa_bits=rsa_bits)
    with running(folder, state=folder / "state") as tpm:
        config = folder / "attester.toml"
        config.write_text(f'tcti = "{tpm.tcti}"\nevent_log = "{folder}/event_log"\nima = "{folder}/ima"\n')
        attester = LocalAttester(config, MonotonicClock())
        try:
            made = Machine(folder=folder, tpm=tpm, attester=attester, authority=authority)
            made.start()
            yield made
        finally:
            attester.close()
