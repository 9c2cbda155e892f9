"""Shell that waits in the guest until a server serves: one process that tries, for a fork is dear there."""

from __future__ import annotations

import shlex

_PROGRAM = """\
import socket, sys, time, urllib.request
target, limit = sys.argv[1], float(sys.argv[2])
def once():
    if target.isdigit():
        socket.create_connection(("127.0.0.1", int(target)), 5).close()
    else:
        urllib.request.urlopen(target, timeout=30).read()
end = time.monotonic() + limit
while True:
    try:
        once()
        break
    except OSError as error:
        if time.monotonic() > end:
            sys.exit(f"{target} does not serve after {limit:.0f} s: {error}")
    time.sleep(0.5)
"""


def listening(port: int, limit_s: float) -> str:
    """Returns once something accepts connections on `port`; fails after `limit_s`."""
    return _wait(str(port), limit_s)


def answering(url: str, limit_s: float) -> str:
    """Returns once a GET of `url` succeeds; fails after `limit_s` with what went wrong last."""
    return _wait(url, limit_s)


def _wait(target: str, limit_s: float) -> str:
    return f"python3 -c {shlex.quote(_PROGRAM)} {shlex.quote(target)} {limit_s:g}"
