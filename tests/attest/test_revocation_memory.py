"""A revocation list that went back, or that is gone, is refused: what it revoked would be trusted again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from harness.attest.identity.authorities import Authorities, RootsFileError
from harness.attest.identity.revocation_memory import require_current
from harness.cli.attest import machines
from harness.errors import RecordError, StorageError
from tests.attest.ek_certificates import NOW, Authority, pem
from tests.attest.test_revocation import listed

DAY = timedelta(days=1)
MAKER = Authority()
Lists = Sequence[x509.CertificateRevocationList]


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "data" / "revocation-lists.json"


def use(memory: Path, *lists: x509.CertificateRevocationList, by: Authority = MAKER) -> None:
    found = Authorities(roots=(by.trusted,), intermediates=(), revocations=lists)
    require_current(found, memory, where="roots")


def refused(memory: Path, *lists: x509.CertificateRevocationList, by: Authority = MAKER) -> RootsFileError:
    before = memory.read_bytes()
    with pytest.raises(RootsFileError) as caught:
        use(memory, *lists, by=by)
    assert caught.value.exit_code == 3
    assert str(memory) in caught.value.remedy
    assert memory.read_bytes() == before
    return caught.value


def test_a_list_whose_number_went_back_is_refused(memory: Path) -> None:
    use(memory, listed(MAKER, number=7))
    use(memory, listed(MAKER, number=7))
    error = refused(memory, listed(MAKER, number=6))
    assert error.what == "a revocation list went back"
    assert "CN=maker: the newest list is number 6 of" in error.why
    assert "number 7 of" in error.why
    use(memory, listed(MAKER, number=8))
    refused(memory, listed(MAKER, number=7))


def test_an_older_list_counts_next_to_the_newest(memory: Path) -> None:
    use(memory, listed(MAKER, number=7))
    use(memory, listed(MAKER, number=6), listed(MAKER, number=7))


def test_a_list_that_is_gone_is_refused(memory: Path) -> None:
    use(memory, listed(MAKER, number=7))
    assert refused(memory).what == "a revocation list is gone"
    assert refused(memory, listed(Authority(name="other"), number=9)).what == "a revocation list is gone"


def test_without_numbers_the_day_of_issue_counts(memory: Path) -> None:
    use(memory, listed(MAKER, begin=NOW - DAY))
    assert "went back" in refused(memory, listed(MAKER, begin=NOW - 2 * DAY)).what
    assert "went back" in refused(memory, listed(MAKER, begin=NOW - 2 * DAY, number=9)).what
    use(memory, listed(MAKER, begin=NOW, number=1))


def test_a_list_that_another_signed_changes_no_number(memory: Path) -> None:
    use(memory, listed(MAKER, number=7))
    forger = Authority(name="maker")
    refused(memory, listed(MAKER, number=6), listed(forger, number=2**64))
    use(memory, listed(MAKER, number=7), listed(forger, number=2**64))
    use(memory, listed(MAKER, number=8))


def test_an_authority_keeps_its_numbers_under_a_renewed_certificate(memory: Path) -> None:
    use(memory, listed(MAKER, number=7))
    renewed = Authority(signs_with=MAKER.key)
    refused(memory, listed(renewed, number=6), by=renewed)


def test_another_makers_roots_are_not_concerned(memory: Path) -> None:
    use(memory, listed(MAKER, number=7))
    use(memory, by=Authority(name="other"))
    refused(memory)


def test_without_lists_nothing_is_written(memory: Path) -> None:
    use(memory)
    assert not memory.parent.exists()


@pytest.mark.parametrize(
    "content", ["", "[]", '{"a": 1}', '{"a": {"number": "7", "issued_s": 1}}', '{"a": {"number": 7}}']
)
def test_a_damaged_memory_is_an_error(memory: Path, content: str) -> None:
    memory.parent.mkdir()
    memory.write_text(content)
    with pytest.raises(RecordError):
        use(memory, listed(MAKER, number=7))


def test_a_memory_that_cannot_be_kept_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        use(tmp_path / "file" / "revocation-lists.json", listed(MAKER, number=7))


def test_a_command_remembers_what_it_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    roots = tmp_path / "roots"
    roots.mkdir()
    (roots / "root.pem").write_bytes(pem(MAKER.certificate))

    def look(number: int) -> None:
        (roots / "maker.crl").write_bytes(listed(MAKER, number=number).public_bytes(Encoding.DER))
        pair = SimpleNamespace(attest_roots=None, tpm={})
        machines.vouching(cast(Any, SimpleNamespace(name="a", vouching=())), cast(Any, pair), roots)

    look(7)
    kept = json.loads((tmp_path / "data/sodbench/revocation-lists.json").read_text())
    assert [one["number"] for one in kept.values()] == [7]
    with pytest.raises(RootsFileError, match="went back"):
        look(6)
