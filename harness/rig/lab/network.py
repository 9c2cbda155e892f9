"""The lab's network on the controller: one bridge, a closed address range, a way out for provisioning only.

Everything made here is named after the lab, found again by that name, and removed by it. Nothing that was
there before is changed but ``net.ipv4.ip_forward``, whose old value is kept and put back.
"""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

from harness.rig.lab.local import run, succeeds

BRIDGE = "sodbr0"
NETWORK = ipaddress.ip_network("198.18.0.0/24")
"""The lab's addresses, from the range set aside for benchmarks of network devices (RFC 2544, RFC 6890)."""

CONTROLLER = ipaddress.ip_interface("198.18.0.1/24")
_CLOSED_RANGE = "198.18.0.0/15"
_CLOSED_METRIC = "4000000000"
_NFT_TABLE = "sodbench_lab"
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")

# A bucket of 5 ms at line rate: smaller ones starve on kernels with a 4 ms tick (tc-tbf(8)).
_BURST_S = 0.005


def up(kept: Path) -> None:
    """Make the bridge, its route and its NAT; what is there already is left as it is.

    Args:
        kept: File that remembers the controller's own settings until `down`.
    """
    # First the fence: with it, no packet for the lab can leave the machine while the bridge is down.
    run(["ip", "route", "replace", "unreachable", _CLOSED_RANGE, "metric", _CLOSED_METRIC])
    if not exists():
        run(["ip", "link", "add", BRIDGE, "type", "bridge", "stp_state", "0", "forward_delay", "0"])
    run(["ip", "address", "replace", str(CONTROLLER), "dev", BRIDGE])
    run(["ip", "link", "set", BRIDGE, "up"])
    if not kept.exists():
        kept.write_text(json.dumps({"ip_forward": _FORWARD.read_text(encoding="ascii").strip()}))
    _FORWARD.write_text("1", encoding="ascii")
    run(["nft", "-f", "-"], text_in=_nat_rules())


def _nat_rules() -> str:
    """A table of its own, replaced as a whole: the rules of others are neither read nor changed (nft(8))."""
    return f"""
table ip {_NFT_TABLE} {{}}
delete table ip {_NFT_TABLE}
table ip {_NFT_TABLE} {{
    chain way_out {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {NETWORK} ip daddr != {_CLOSED_RANGE} masquerade
    }}
}}
"""


def down(kept: Path) -> None:
    """Remove what :func:`up` made and restore the controller's settings; does nothing if there is no lab."""
    if exists():
        run(["ip", "link", "delete", BRIDGE])
    if succeeds(["nft", "list", "table", "ip", _NFT_TABLE]):
        run(["nft", "delete", "table", "ip", _NFT_TABLE])
    if kept.exists():
        _FORWARD.write_text(json.loads(kept.read_text())["ip_forward"], encoding="ascii")
        kept.unlink()
    if _fenced():
        run(["ip", "route", "delete", "unreachable", _CLOSED_RANGE, "metric", _CLOSED_METRIC])


def _fenced() -> bool:
    return "unreachable" in run(["ip", "route", "show", "type", "unreachable", "root", _CLOSED_RANGE])


def exists() -> bool:
    """Whether the lab's bridge is there."""
    return succeeds(["ip", "link", "show", BRIDGE])


def shape(interface: str, rate_bit_s: int, *, leader_pid: int | None = None) -> None:
    """Limit what `interface` sends to `rate_bit_s`; inside the network namespace of `leader_pid` if given."""
    inside = ["nsenter", "--target", str(leader_pid), "--net"] if leader_pid else []
    burst = max(int(rate_bit_s / 8 * _BURST_S), 64 * 1024)
    run(
        [
            *(*inside, "tc", "qdisc", "replace", "dev", interface, "root", "tbf"),
            *("rate", f"{rate_bit_s}bit", "burst", str(burst), "latency", "50ms"),
        ]
    )
