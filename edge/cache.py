"""Stage files fetched from a cloud, kept by digest so that the next start needs no download."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from partway.partitioner.plan import Stage
from partway.proto.errors import InputError

log = logging.getLogger("partway.edge")


def default_cache() -> Path | None:
    """``$XDG_CACHE_HOME/partway``, usually ``~/.cache/partway``; None for a user without a home."""
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "partway"
    except RuntimeError:
        return None


class StageCache:
    """A folder of stage files named by their SHA-256; without a folder (None) it keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def read(self, stage: Stage, fetch: Callable[[str], bytes]) -> bytes:
        """The stage's bytes, from the folder or else by ``fetch(digest)``; a damaged file is fetched again.

        Raises InputError when what was fetched is not what the digest promises.
        """
        kept = self._kept(stage)
        if kept is not None:
            return kept
        data = fetch(stage.digest)
        if hashlib.sha256(data).hexdigest() != stage.digest:
            raise InputError(
                f"the cloud sent a {stage.file} that does not match its digest; check the cloud's model files"
            )
        self._keep(stage.digest, data)
        return data

    def _kept(self, stage: Stage) -> bytes | None:
        if self.folder is None:
            return None
        path = self.folder / stage.digest
        try:
            data = path.read_bytes()
        except OSError:
            return None
        if hashlib.sha256(data).hexdigest() == stage.digest:
            return data
        log.warning("cached %s is damaged; fetching it again", path)
        return None

    def _keep(self, digest: str, data: bytes) -> None:
        if self.folder is None:
            return
        try:
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=".part-") as part:
                whole = Path(part, digest)
                whole.write_bytes(data)
                whole.replace(self.folder / digest)
        except OSError as error:
            log.warning(
                "cannot keep stages in %s (%s); they will be fetched again next time", self.folder, error.strerror
            )


def open_cache(folder: Path | None) -> StageCache:
    """The cache in ``folder``, made if it is missing. Raises InputError when one that was asked for cannot be written.

    The default folder may be unusable (read-only home): then a warning is logged and nothing is kept.
    """
    asked = folder is not None
    folder = folder or default_cache()
    if folder is None:
        log.warning("there is no home to keep stages in; they are kept in memory only (give a folder with --cache)")
        return StageCache(None)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if asked:
            raise InputError(
                f"cache folder {folder} cannot be written ({error.strerror}); give another with --cache"
            ) from error
        log.warning(
            "cache folder %s cannot be written (%s); fetched stages are kept in memory only", folder, error.strerror
        )
        return StageCache(None)
    return StageCache(folder)
