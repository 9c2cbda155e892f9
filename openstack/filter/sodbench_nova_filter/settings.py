"""The section ``[sodbench]`` of nova.conf, and what its files hold."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import nova.conf
from oslo_config import cfg

from harness.errors import RecordError
from harness.policy.nova.hosts import Hosts
from harness.policy.nova.statement import read_keys
from harness.policy.nova.table import read_table

CONF = nova.conf.CONF
GROUP = "sodbench"
MOST_BYTES = 1_000_000
"""How long a file of settings may be."""

OPTIONS = [
    cfg.StrOpt(
        "statement_keys",
        default="/etc/nova/sodbench-keys",
        help="The trust monitor's keys, one a line: a name and at least 32 bytes in hexadecimal. Nova's user "
        "must be able to read the file, and others must not.",
    ),
    cfg.StrOpt(
        "capabilities",
        default="",
        help="The capability table as CSV; without it the one of the paper (Table III) that is shipped.",
    ),
    cfg.BoolOpt(
        "warning_counts",
        default=False,
        help="Whether a host with a warning, such as a TPM in software, is good enough.",
    ),
    cfg.FloatOpt(
        "weight_multiplier",
        default=100_000.0,
        help="How much the weigher's order counts. As shipped it counts more than all of Nova's own weighers "
        "together, but for the one that avoids hosts on which builds failed.",
    ),
]
CONF.register_opts(OPTIONS, group=GROUP)


class Settings:
    """The hosts, known by the files of nova.conf as they are now.

    Attributes:
        lock: Held while the hosts are used: the scheduler may have several threads.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._read: Sequence[object] = ()
        self._hosts: Hosts | None = None

    def hosts(self) -> Hosts:
        """What is known of the hosts; a changed file begins it again, without a restart of the scheduler.

        Raises:
            OSError: A file cannot be read.
            RecordError: A file is wrong, or others than Nova can read the keys.
        """
        keys, table = Path(CONF.sodbench.statement_keys), self._table()
        now = (*_state(keys), *_state(table), CONF.sodbench.warning_counts)
        if self._hosts is None or now != self._read:
            if keys.stat().st_mode & 0o027:
                raise RecordError(
                    "the trust monitor's keys can be read or changed by others",
                    where=str(keys),
                    remedy=f"chown root:nova {keys} && chmod 640 {keys}",
                )
            self._hosts = Hosts(
                read_table(_text(table)), read_keys(_text(keys)), warning_counts=CONF.sodbench.warning_counts
            )
            self._read = now
        return self._hosts

    @staticmethod
    def _table() -> Path:
        named = CONF.sodbench.capabilities
        return Path(named) if named else Path(str(resources.files(__package__) / "table3_capabilities.csv"))


def _state(path: Path) -> tuple[object, ...]:
    found = path.stat()
    return str(path), found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode


def _text(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise RecordError("the file is too long", where=str(path))
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise RecordError("the file is no text", where=str(path), why=error.reason) from error
