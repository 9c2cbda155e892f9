"""Write a software bill of materials in CycloneDX: what the lock pins, and what provisioning installs.

``python -m supply.sbom FILE`` (``make sbom``). Python's packages are listed by ``cyclonedx-py``, with their
hashes, from ``requirements.lock`` and from the client's list for locust. Debian's packages are those that the
roles name, with the machines that get them; they have no version here, because the archive of the day decides
it. ``image.json`` of a built guest image lists the versions in it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".venv/supply/bin"
LOCUST = ROOT / "playbooks/roles/locust/files/requirements.txt"
LIMIT_S = 120.0

Component: TypeAlias = dict[str, Any]

_VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read())
sys.exit(str(found) if found is not None else 0)
"""


def bill() -> dict[str, Any]:
    """The bill of materials of this clone, the same for the same files.

    Raises:
        subprocess.CalledProcessError: ``cyclonedx-py`` refuses a list.
    """
    found = _listed(ROOT / "requirements.lock", "controller")
    components = [
        *found["components"],
        *_listed(LOCUST, "client")["components"],
        *_debian(),
        _glassfish(_defaults("guest_image")),
    ]
    root = found["metadata"]["component"]["bom-ref"]
    references = [one["bom-ref"] for one in components]
    found["components"] = components
    found["dependencies"] = [
        {"ref": root, "dependsOn": references},
        *({"ref": reference} for reference in references),
    ]
    return found


def validate(text: str) -> str:
    """Why `text` is no bill of materials by CycloneDX's strict schema; empty where it is one."""
    done = subprocess.run(
        [TOOLS / "python", "-W", "ignore", "-c", _VALIDATE],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    return "" if done.returncode == 0 else done.stderr.strip() or f"exit status {done.returncode}"


def _listed(requirements: Path, place: str) -> dict[str, Any]:
    """What ``cyclonedx-py`` makes of a list of Python packages; their references and place named."""
    command = ["requirements", str(requirements), "--pyproject", str(ROOT / "pyproject.toml")]
    done = subprocess.run(
        [TOOLS / "python", "-W", "ignore", TOOLS / "cyclonedx-py", *command, "--output-reproducible"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=LIMIT_S,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    for one in found["components"]:
        one["bom-ref"] = f"{place}/{one['purl']}"
        one["properties"] = _placed([place])
        # It repeats the line of the list, hashes included, by its number.
        del one["description"]
    found["components"].sort(key=lambda one: str(one["bom-ref"]))
    return found


def _debian() -> Iterator[Component]:
    """Debian's packages that the roles name, each once, with the machines that get them."""
    packages, image, small = map(_defaults, ("packages", "guest_image", "small_image"))
    lists: dict[str, Sequence[str]] = {
        "guest image": [*image["guest_image_base_packages"], *image["guest_image_server_packages"]],
        "small guest image": small["small_image_packages"],
    }
    lists |= {f"machines: {purpose}": names for purpose, names in packages["packages_of_purpose"].items()}
    for name in sorted({name for names in lists.values() for name in names}):
        purl = f"pkg:deb/debian/{name}"
        places = [place for place, names in lists.items() if name in names]
        yield {
            "type": "library",
            "bom-ref": purl,
            "name": name,
            "purl": purl,
            "properties": _placed(places),
        }


def _glassfish(image: Mapping[str, Any]) -> Component:
    version = image["guest_image_glassfish_version"]
    purl = f"pkg:maven/org.glassfish.main.distributions/glassfish@{version}?type=zip"
    return {
        "type": "application",
        "bom-ref": purl,
        "group": "org.glassfish.main.distributions",
        "name": "glassfish",
        "version": version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": image["guest_image_glassfish_sha256"]}],
        "properties": _placed(["guest image"]),
    }


def _placed(places: Sequence[str]) -> list[dict[str, str]]:
    return [{"name": "sodbench:installed-on", "value": place} for place in places]


def _defaults(role: str) -> Mapping[str, Any]:
    text = (ROOT / "playbooks/roles" / role / "defaults/main.yml").read_text()
    found: Mapping[str, Any] = YAML(typ="safe").load(text)
    return found


def main(file: Path) -> None:
    """Write the bill to `file`, once it is known to be one."""
    made = bill()
    text = json.dumps(made, indent=2, sort_keys=True) + "\n"
    if wrong := validate(text):
        raise SystemExit(f"{file} is not written: it would be no bill of materials: {wrong[:2000]}")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    print(f"{file}: {len(made['components'])} components, CycloneDX {made['specVersion']}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
