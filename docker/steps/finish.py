"""Finishes an image's root: its bill of materials, its largest parts, owners, and one time for every file.

    python3 finish.py ARCH ROOT NAME

Writes ROOT/usr/share/sbom/NAME.cdx.json (CycloneDX 1.5): every Debian and Python package, its version, licence, purl.
"""

from __future__ import annotations

import email
import hashlib
import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any

PACKAGES = "usr/local/lib/python3.11/dist-packages"
OWNED = ("cache", "out")
UID = 10001


def main(arch: str, root: Path, name: str) -> None:
    """Everything, in order."""
    epoch_s = int(os.environ["SOURCE_DATE_EPOCH"])
    found = {part["purl"]: part for part in [*_debian(root, arch), *_python(root)]}
    components = [found[purl] for purl in sorted(found)]
    _write(root / f"usr/share/sbom/{name}.cdx.json", name, arch, components)
    for folder in OWNED:
        os.chown(root / folder, UID, UID)
    (root / "tmp").chmod(0o1777)
    for path in [root, *root.rglob("*")]:
        os.utime(path, (epoch_s, epoch_s), follow_symlinks=False)


def _debian(root: Path, arch: str) -> list[dict[str, Any]]:
    made = []
    for status in (root / "var/lib/dpkg/status.d").iterdir():
        fields = email.message_from_string(status.read_text(encoding="utf-8"))
        name, version = fields["Package"], fields["Version"]
        purl = f"pkg:deb/debian/{name}@{version}?arch={fields['Architecture']}&distro=debian-12"
        made.append({"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl})
    return made


def _python(root: Path) -> list[dict[str, Any]]:
    made = []
    for info in sorted((root / PACKAGES).rglob("*.dist-info")):  # what packages bring along within them, too
        fields = email.message_from_bytes((info / "METADATA").read_bytes())
        name, version = fields["Name"].lower().replace("_", "-"), fields["Version"]
        purl = f"pkg:pypi/{name}@{version}"
        part: dict[str, Any] = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
        if licence := fields["License-Expression"]:
            part["licenses"] = [{"expression": licence}]
        elif (licence := (fields["License"] or "").split("\n")[0].strip()) and len(licence) < 60:
            part["licenses"] = [{"license": {"name": licence}}]
        made.append(part)
    return made


def _write(path: Path, name: str, arch: str, components: list[dict[str, Any]]) -> None:
    digest = hashlib.sha256(json.dumps(components, sort_keys=True).encode()).hexdigest()
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.UUID(digest[:32])}",
        "version": 1,
        "metadata": {"component": {"type": "container", "bom-ref": name, "name": name, "version": arch}},
        "components": components,
    }
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
