"""Minimal Debian systems, as a new user has one: built once, kept, used under a layer that is thrown away.

A command runs in systemd-nspawn over an overlay that is mounted in a mount namespace of its own. Both end
with the process that asked for them, however that ends: no mount and no process outlives a test. The network
is the machine's own, and so are the settings by which apt, pip and uv reach their archives.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path("/var/cache/sodbench/fresh")
CLONE = Path("root/sodbench")
"""Where the clone lies: in root's home, which no other user may enter."""

_TRUSTED = Path("/etc/ssl/certs/ca-certificates.crt")
_TRUSTED_THERE = "/opt/controller-certificates.crt"
_PROPAGATED = Path("/run/systemd/nspawn/propagate")
_APT_SETTINGS = ("Acquire::http::", "Acquire::https::", "Acquire::Check-", "Acquire::Retries")
_SETTINGS = (
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_PROXY", "PIP_DEFAULT_TIMEOUT"),
    *("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL"),
    *("UV_SYSTEM_CERTS", "UV_NATIVE_TLS"),
)
_BUILD_LIMIT_S = 2400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command in a container ended; standard output and error in one."""

    status: int
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What runs in a container: options of systemd-nspawn, and a program where it is not an init."""

    options: tuple[str, ...]
    argv: tuple[str, ...] = ()


def _shell(script: str) -> Command:
    return Command(options=("--as-pid2",), argv=("/bin/sh", "-euc", script))


@dataclass(frozen=True, slots=True)
class System:
    """A Debian with everything that set-up installs of packages; `layers` are the newest first."""

    suite: str
    layers: tuple[Path, ...]

    def run(self, script: str, *, upper: Path, timeout_s: float) -> Ended:
        """The script as root, in the system with `upper` laid over it.

        Raises:
            subprocess.TimeoutExpired: It took longer; nothing of it is left.
        """
        return _run(self.layers, upper, _home_cache(self.suite), _shell(script), timeout_s)

    def boot(self, *, upper: Path, timeout_s: float) -> Ended:
        """Boot the system with `upper` laid over it, without a network, until it shuts itself down.

        Raises:
            subprocess.TimeoutExpired: It took longer; nothing of it is left.
        """
        machine = Command(options=("--boot", "--private-network"))
        return _run(self.layers, upper, _home_cache(self.suite), machine, timeout_s)


def _said(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


def sources(suite: str) -> tuple[str, ...]:
    """The package sources of `suite` on the archives that this machine uses for its own Debian."""
    listed = _said("apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(CREATED_BY)")
    lines = [line.split() for line in listed.splitlines() if line.endswith(" Packages")]
    sites = {release: site for site, release, _ in lines}
    codename = next(name for name in ("bookworm", "trixie") if name in sites)
    updated = {suffix: sites.get(f"{codename}{suffix}") for suffix in ("", "-updates", "-security")}
    return tuple(f"deb {site} {suite}{suffix} main" for suffix, site in updated.items() if site is not None)


def _apt_settings() -> str:
    lines = _said("apt-config", "dump", "--format", '%f "%v";%n').splitlines()
    wanted = [line for line in lines if line.startswith(_APT_SETTINGS) and not line.endswith('"";')]
    return "".join(f"{line}\n" for line in wanted)


def _named(what: str, *inputs: str) -> Path:
    return CACHE / f"{what}-{hashlib.sha256(chr(0).join(inputs).encode()).hexdigest()[:12]}"


def _home_cache(suite: str) -> Path:
    return CACHE / f"downloads-{suite}"


@contextlib.contextmanager
def _locked(suite: str) -> Iterator[None]:
    """One at a time builds or clears what is kept of `suite`, or what killed runs left."""
    CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (CACHE / f"lock-{suite}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def system(suite: str) -> System:
    """The minimal Debian with what `make packages` installs in it; built unless the cache has it."""
    installing = _said("make", "--directory", str(ROOT), "--dry-run", "packages")
    settings = (*sources(suite), _apt_settings())
    base = _named(f"base-{suite}", *settings)
    packages = _named(f"packages-{suite}", base.name, installing)
    with _locked(suite):
        for stale in CACHE.glob(f"*-{suite}-*"):
            if stale not in (base, packages):
                shutil.rmtree(stale)
        if not base.exists():
            _build_base(suite, base)
        if not packages.exists():
            _build_packages(suite, base, packages)
    return System(suite, (packages, base))


def _build_base(suite: str, base: Path) -> None:
    partial = base.with_name(f"partial-{suite}-{os.getpid()}")
    argv = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory", "--quiet"]
    argv += [f"--aptopt={line}" for line in _apt_settings().splitlines()]
    text = "".join(f"{line}\n" for line in sources(suite))
    subprocess.run(
        [*argv, suite, str(partial), "-"], input=text, text=True, check=True, timeout=_BUILD_LIMIT_S
    )
    (partial / "etc/apt/apt.conf.d/90controller").write_text(_apt_settings())
    partial.rename(base)


def _build_packages(suite: str, base: Path, packages: Path) -> None:
    """What a new user does first (README), and the first half of set-up."""
    script = (
        "apt-get update --quiet=2; DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes git make\n"
        "cd /root/prepared; make packages; cd /; rm -r /root/prepared; apt-get clean\n"
    )
    with scratch() as folder:
        upper = folder / "upper"
        (upper / "root/prepared").mkdir(mode=0o700, parents=True)
        shutil.copy(ROOT / "Makefile", upper / "root/prepared")
        ended = _run((base,), upper, _home_cache(suite), _shell(script), _BUILD_LIMIT_S)
        assert ended.status == 0, ended.output
        upper.rename(packages)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is removed afterwards, next to the layers, for what is written over them."""
    with _locked("runs"):
        for left in CACHE.glob("run-*"):
            if not Path("/proc", left.name.split("-")[1]).exists():
                shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix=f"run-{os.getpid()}-", dir=CACHE))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _run(lower: Sequence[Path], upper: Path, downloads: Path, command: Command, timeout_s: float) -> Ended:
    work, root = upper.with_name("work"), upper.with_name("root")
    name = f"sodbench-fresh-{os.getpid()}-{downloads.name.removeprefix('downloads-')}"
    for made in (upper, work, root, downloads):
        made.mkdir(parents=True, exist_ok=True)
    layers = f"lowerdir={':'.join(map(str, lower))},upperdir={upper},workdir={work}"
    argv = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private", "sh", "-euc"]
    argv += ['mount -t overlay sodbench-fresh -o "$1" "$2"; shift 2; exec "$@"', "sh", layers, str(root)]
    argv += ["systemd-nspawn", f"--directory={root}", f"--machine={name}", "--pipe", *command.options]
    argv += ["--quiet", "--register=no", "--keep-unit", "--resolv-conf=copy-host", "--timezone=off"]
    argv += ["--suppress-sync=yes", f"--bind={downloads}:/root/.cache"]
    argv += [f"--bind-ro={path}:{there}" for path, there in _borrowed().items()]
    argv += [f"--setenv={setting}={value}" for setting, value in _settings(os.environ).items()]
    try:
        done = subprocess.run(
            [*argv, *command.argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            check=False,
        )
    finally:
        if (_PROPAGATED / name).is_dir():
            (_PROPAGATED / name).rmdir()  # nspawn leaves it where /run is not a tmpfs
    return Ended(status=done.returncode, output=done.stdout.decode(errors="replace"))


def _borrowed() -> dict[Path, str]:
    pip = Path("/etc/pip.conf")
    return {path: there for path, there in ((_TRUSTED, _TRUSTED_THERE), (pip, str(pip))) if path.exists()}


def _settings(environment: Mapping[str, str]) -> dict[str, str]:
    """This machine's ways to the archives, and the authorities that it trusts there."""
    given = {name: environment[name] for name in _SETTINGS if name in environment}
    if _TRUSTED in _borrowed():
        given |= dict.fromkeys(("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"), _TRUSTED_THERE)
    return given


def clone(into: Path) -> None:
    """A clone of this working tree's newest commit, with what was changed since."""
    into.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _said("git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", str(into))
    changes = subprocess.run(
        ["git", "-C", str(ROOT), "diff", "--binary", "HEAD"], check=True, capture_output=True, timeout=60
    ).stdout
    if changes:
        subprocess.run(["git", "-C", str(into), "apply", "-"], input=changes, check=True, timeout=60)
    others = _said("git", "-C", str(ROOT), "ls-files", "--others", "--exclude-standard", "-z")
    for name in filter(None, others.split("\0")):
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, into / name)
