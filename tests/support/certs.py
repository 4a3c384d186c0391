"""Certificates made with openssl, as docs/security.md tells people to make them."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Authority:
    """A CA in a folder."""

    folder: Path
    name: str = "ca"

    @property
    def ca(self) -> Path:
        return self.folder / f"{self.name}.pem"

    def issue(self, name: str, hosts: str = "DNS:localhost,IP:127.0.0.1", days: int = 30) -> tuple[Path, Path]:
        """Certificate and key for ``hosts``; with ``days`` -1 one that has expired."""
        certificate, key, request = (self.folder / f"{name}.{kind}" for kind in ("pem", "key", "csr"))
        extension = ["-addext", f"subjectAltName={hosts}"]
        openssl("req", *NEW_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={name}", *extension)
        lasting = ["-days", str(days)]
        if days < 0 and "-not_after" in openssl("x509", "-help"):
            lasting = ["-not_before", "20200101000000Z", "-not_after", "20200102000000Z"]
        signed = ["-CA", self.ca, "-CAkey", self.folder / f"{self.name}.key", "-CAcreateserial"]
        openssl("x509", "-req", "-in", request, *signed, *lasting, "-copy_extensions", "copy", "-out", certificate)
        return certificate, key


NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def authority(folder: Path, name: str = "ca") -> Authority:
    """A new CA."""
    made = Authority(folder, name)
    openssl("req", "-x509", *NEW_KEY, "-keyout", folder / f"{name}.key", "-out", made.ca, "-days", "30",
            "-subj", f"/CN={name}")  # fmt: skip
    return made


def openssl(*words: object) -> str:
    """Run it; what it said."""
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
