"""Reads tokens, keys and certificates from files, for both halves. Errors are one sentence.

No error quotes the content of a file, because a refused token must not appear in a log.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from pathlib import Path

from partway.errors import InputError
from partway.system.files import described, unreadable

log = logging.getLogger("partway")

TOKEN_VARIABLE = "PARTWAY_TOKEN"  # noqa: S105 - a variable's name
MOST_BYTES = 1 << 20
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,4096}")
"""RFC 6750, section 2.1: the characters of a bearer token."""
_HOW = "make one with `openssl rand -hex 32`"
_OTHERS = stat.S_IROTH | stat.S_IWOTH


def token_of(file: Path | None) -> str:
    """The bearer token: the file's only line, else that of the environment variable PARTWAY_TOKEN, else ''.

    Raises InputError if the file cannot be read or holds no token; warns if other users may read it.
    """
    if file is None:
        token = os.environ.get(TOKEN_VARIABLE, "").strip()
        where = f"the environment variable {TOKEN_VARIABLE}"
        if TOKEN_VARIABLE in os.environ and not token:
            raise InputError(f"{where} is empty; {_HOW}, or unset it")
    else:
        token, where = read_text(file, "token file").strip(), f"token file {file}"
        if not token:
            raise InputError(f"{where} is empty ({described(file)}); {_HOW}")
        _warn_of_others(file, "token file")
    if token and not _TOKEN.fullmatch(token):
        raise InputError(f"{where} holds no valid token, which is one line of letters, digits and ._~+/=-; {_HOW}")
    return token


def read_key(file: Path) -> bytes:
    """Read a private key in PEM. Raises InputError; warns if other users may read the file."""
    data = read_text(file, "TLS key").encode()
    if b"PRIVATE KEY-----" not in data or b"ENCRYPTED" in data:
        raise InputError(f"TLS key {file} is not a private key in PEM format without a passphrase; check the file")
    _warn_of_others(file, "TLS key")
    return data


def read_certificates(file: Path, what: str) -> bytes:
    """Read one or more certificates in PEM. ``what`` names the file in errors. Raises InputError."""
    data = read_text(file, what).encode()
    if b"-----BEGIN CERTIFICATE-----" not in data:
        raise InputError(f"{what} {file} holds no certificate in PEM format; check the file")
    return data


def read_text(file: Path, what: str) -> str:
    """Read the text of a small file. Raises InputError that names the process's user, the file's owner and its mode."""
    try:
        if file.is_dir():
            raise InputError(f"{what} {file} is a folder; give the file")
        with file.open("rb") as opened:
            data = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{what} {unreadable(file, error)}; check the path and who may read it") from error
    if len(data) > MOST_BYTES:
        raise InputError(f"{what} {file} is larger than {MOST_BYTES} bytes; check the file")
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        raise InputError(f"{what} {file} is not text; check the file") from None


def _warn_of_others(file: Path, what: str) -> None:
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & _OTHERS:
        log.warning("%s %s has mode %04o: any user of this machine may read it; chmod 600 it", what, file, mode)
