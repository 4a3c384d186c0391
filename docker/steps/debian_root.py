"""Lays out the few Debian packages that an image needs in a folder of its own: no shell, no setuid file.

    python3 debian_root.py ARCH ROOT

Packages come from the mirrors and keys of the system it runs on, for any architecture: nothing of them is run here.
What is left out of them is named below. For scanners each package leaves its entry in ROOT/var/lib/dpkg/status.d.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

NEEDED = (
    "base-files", "libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libexpat1", "libffi8", "libssl3", "libuuid1",
    "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib",
)  # fmt: skip
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
DROPPED = (
    "usr/share/man", "usr/share/lintian", "usr/share/locale", "usr/share/info", "usr/share/bug", "usr/share/python3",
    "usr/share/binfmts", "usr/share/apps", "usr/share/applications", "usr/share/pixmaps", "usr/share/gcc",
    "usr/share/gdb", "usr/share/base-files", "usr/share/common-licenses/*.gz", "usr/lib/*/gconv", "usr/lib/*/audit",
    "usr/lib/*/perl-base", "usr/lib/*/engines-3", "usr/lib/*/ossl-modules", "usr/lib/gcc", "usr/lib/locale",
    "etc/update-motd.d", "etc/profile*", "etc/skel", "etc/ld.so.conf.d", "etc/python3.11", "usr/bin/*", "usr/sbin/*",
    "usr/lib/*/libnsl*", "usr/lib/*/libthread_db*", "usr/lib/*/libpcprofile*", "usr/lib/*/libmemusage*",
    "var/[!l]*", "var/lock", "var/local", "home", "root", "srv", "mnt", "media", "boot", "opt",
    "usr/games", "usr/include",
    "usr/local/[!l]*",
    "usr/lib/*/libc_malloc_debug*", "usr/lib/*/libnss_hesiod*", "usr/lib/*/libnss_compat*",
    "usr/lib/*/libBrokenLocale*",
)  # fmt: skip
KEPT = ("usr/bin/python3.11",)
PYTHON = "usr/lib/python3.11"
UNUSED_MODULES = (
    "lib2to3", "distutils", "ensurepip", "pydoc_data", "idlelib", "tkinter", "turtledemo", "turtle.py", "test", "venv",
    "wsgiref", "xmlrpc", "dbm", "sqlite3", "curses", "pydoc.py", "doctest.py", "cgi.py", "config-*", "__phello__",
    "_sysconfigdata__*-debug*", "lib-dynload/*sqlite3*", "lib-dynload/*curses*", "lib-dynload/readline*",
    "lib-dynload/nis.*", "lib-dynload/_dbm*", "lib-dynload/_crypt*", "lib-dynload/*test*", "lib-dynload/ossaudiodev*",
    "lib-dynload/audioop*", "lib-dynload/_codecs_*", "lib-dynload/_tkinter*", "lib-dynload/_xxsubinterpreters*",
    "lib-dynload/_bz2*", "lib-dynload/_lzma*", "EXTERNALLY-MANAGED",
)  # fmt: skip
"""Of Python's library: what needs a terminal, a screen, a database, or a compiler, and tools to build packages."""


def main(arch: str, root: Path) -> None:
    """Everything, in order."""
    with tempfile.TemporaryDirectory() as downloads:
        _download(arch, NEEDED, Path(downloads))
        _folders(root)
        for package in sorted(Path(downloads).glob("*.deb")):
            _unpack(package, root)
    python = (root / KEPT[0]).read_bytes()
    _drop(root, DROPPED)
    (root / KEPT[0]).write_bytes(python)
    (root / KEPT[0]).chmod(0o755)
    (root / "usr/bin/python3").symlink_to("python3.11")
    _drop(root / PYTHON, UNUSED_MODULES)
    _documents(root)
    _users(root)
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_mode & 0o6000:
            sys.exit(f"{path} is setuid or setgid")


def _download(arch: str, packages: tuple[str, ...], folder: Path) -> None:
    own = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True).stdout.strip()
    if arch != own:
        subprocess.run(["dpkg", "--add-architecture", arch], check=True)
    subprocess.run(["apt-get", "update", "-q"], check=True, stdout=subprocess.DEVNULL)
    names = [f"{package}:{arch}" for package in packages]
    sandbox = ["-o", "APT::Sandbox::User=root"]  # the folder is ours alone
    subprocess.run(["apt-get", "download", "-q", *sandbox, *names], check=True, cwd=folder)


def _folders(root: Path) -> None:
    """Those of a merged /usr, and those to mount on or write to."""
    for name in MERGED:
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (root / name).is_symlink():
            (root / name).symlink_to(f"usr/{name}")
    for name in ("cache", "data", "models", "out", "etc", "proc", "sys", "dev", "run", "tmp", "var/lib/dpkg/status.d"):
        (root / name).mkdir(parents=True, exist_ok=True)


def _unpack(package: Path, root: Path) -> None:
    files = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], check=True, capture_output=True).stdout
    unpack = ["tar", "--extract", "--keep-directory-symlink", "--no-same-owner", "--directory", root]
    subprocess.run(unpack, input=files, check=True)
    control = subprocess.run(["dpkg-deb", "--field", package], check=True, capture_output=True, text=True).stdout
    name = re.search(r"^Package: (\S+)$", control, re.MULTILINE)
    assert name is not None
    status = control.replace(name[0], f"{name[0]}\nStatus: install ok installed")
    (root / "var/lib/dpkg/status.d" / name[1]).write_text(status, encoding="utf-8")


def _drop(root: Path, patterns: tuple[str, ...]) -> None:
    for pattern in patterns:
        for path in root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _documents(root: Path) -> None:
    """Of the documents only the licences stay; those in files named by several packages, once."""
    for path in sorted((root / "usr/share/doc").rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.name != "copyright" and not (path.is_symlink() and path.parent.name == "doc"):
            path.unlink()


def _users(root: Path) -> None:
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/nonexistent:/nonexistent\npartway:x:10001:10001:partway:/nonexistent:/nonexistent\n"
    )
    (root / "etc/group").write_text("root:x:0:\npartway:x:10001:\n")
    (root / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
