"""The cloud's TLS certificate and key: checked when they are read, and read again if their files change.

A renewed certificate (certbot, cert-manager) is served from the next connection on, without a restart. If it does not
match its key, or has expired, the cloud keeps the old one and logs the reason.
"""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from partway.errors import InputError
from partway.system.credentials import read_certificates, read_key

log = logging.getLogger("partway.cloud")


@dataclass(frozen=True, slots=True)
class Certificates:
    """The files of certificate and key, and the CA of callers' certificates (None: callers need none)."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def credentials(self) -> Any:
        """gRPC server credentials that follow the files. Raises InputError if the files cannot be used."""
        try:
            stamp = self.stamp()
        except OSError:
            stamp = None  # reading the files reports the fault
        return grpc.dynamic_ssl_server_credentials(
            self.configuration(), _Follow(self, stamp), self.client_ca is not None
        )

    def configuration(self) -> Any:
        """The configuration from the current files. Raises InputError."""
        chain = read_certificates(self.certificate, "TLS certificate")
        key = read_key(self.key)
        roots = None if self.client_ca is None else read_certificates(self.client_ca, "client CA")
        check_pair(chain, self.certificate, self.key)
        return grpc.ssl_server_certificate_configuration([(key, chain)], roots)

    def stamp(self) -> tuple[tuple[int, ...], ...]:
        """A value that changes if the files change. Raises OSError."""
        files = (self.certificate, self.key, *([self.client_ca] if self.client_ca else []))
        states = [file.stat() for file in files]
        return tuple((s.st_mtime_ns, s.st_size, s.st_ino, s.st_dev) for s in states)


class _Follow:
    """gRPC calls this at each handshake. It returns the new configuration, or None to keep the current one."""

    def __init__(self, files: Certificates, stamp: Any) -> None:
        self._files, self._stamp = files, stamp

    def __call__(self) -> Any:
        try:
            now = self._files.stamp()
            if now == self._stamp:
                return None
            self._stamp = now
            configuration = self._files.configuration()
        except (InputError, OSError) as error:
            if isinstance(error, InputError):
                log.error("the renewed TLS files are not used, the old certificate stays: %s", error)
            return None  # a file that is being replaced is read again at the next connection
        log.info("serving the renewed certificate %s", self._files.certificate)
        return configuration


def check_pair(chain: bytes, certificate_file: Path, key_file: Path) -> None:
    """Raise InputError unless the key belongs to the certificate and the certificate is valid today."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        server.load_cert_chain(certificate_file, key_file)
    except (ssl.SSLError, ValueError) as error:
        if "KEY_VALUES_MISMATCH" in str(error):
            why = f"TLS key {key_file} is not the key of certificate {certificate_file}; give a pair"
            raise InputError(why) from None
        why = f"TLS certificate {certificate_file} with key {key_file} cannot be used; check both files"
        raise InputError(why) from None
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # trust the certificate itself; only its dates are checked
    client.load_verify_locations(cadata=chain.decode("ascii"))
    try:
        _shake_hands(client, server)
    except ssl.SSLCertVerificationError as error:
        raise InputError(
            f"TLS certificate {certificate_file} cannot be served ({error.verify_message}); renew it"
        ) from None
    except ssl.SSLError as error:
        raise InputError(
            f"TLS certificate {certificate_file} cannot be served ({error.reason}); make another"
        ) from None


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    """Do a TLS handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(to_client, to_server), server.wrap_bio(to_server, to_client, server_side=True)]
    waiting = ends
    while waiting:
        still = []
        for end in waiting:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                still.append(end)
        waiting = still
