"""Find the four MNIST files in a folder, and download missing ones from the public mirrors."""

from __future__ import annotations

import hashlib
import http.client
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from partway.errors import InputError, PartwayError
from partway.partitioner.zoo.idx import read_idx
from partway.system.atomic_write import write_atomically

Array = np.ndarray[Any, Any]
Report = Callable[[str], None]
Fetch = Callable[[str], bytes]
"""The content of an address; raises OSError when it cannot be had."""

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
MD5 = {
    "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
}
"""Digests of the ``.gz`` files as published. Only downloads are checked: copies may be recompressed."""

_TIMEOUT_S = 30.0
_LARGEST_BYTES = 32 << 20


@dataclass(frozen=True)
class Digits:
    """Images uint8 [count, 28, 28], light on dark, and labels uint8 [count], 0 to 9."""

    images: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Mnist:
    """Both parts of the set, and the SHA-256 of the pixels or labels of each file, by file name."""

    train: Digits
    test: Digits
    digests: Mapping[str, str]


def download(address: str) -> bytes:
    """The content of an https address. Raises OSError when it cannot be had."""
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - only the mirrors above
            content: bytes = answer.read(_LARGEST_BYTES)
            return content
    except http.client.HTTPException as error:
        raise OSError(str(error) or type(error).__name__) from error


def read_mnist(folder: Path, report: Report, fetch: Fetch = download) -> Mnist:
    """The set in ``folder``, files plain or gzipped; missing ones are fetched into it first.

    Raises InputError when a file is missing and cannot be fetched, or does not hold what it should.
    """
    arrays = {name: read_idx(_found(folder, name) or _fetched(folder, name, report, fetch)) for name in MD5}
    digests = {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in arrays.items()}
    return Mnist(_digits(folder, arrays, "train"), _digits(folder, arrays, "t10k"), digests)


def _found(folder: Path, name: str) -> Path | None:
    """The file as published or spelt with a dot (``train-images.idx3-ubyte``), with or without .gz."""
    spellings = (name, name.replace("-idx", ".idx"))
    candidates = [folder / f"{spelling}{ending}" for spelling in spellings for ending in ("", ".gz")]
    return next((path for path in candidates if path.is_file()), None)


def _fetched(folder: Path, name: str, report: Report, fetch: Fetch) -> Path:
    """Downloads one file from the first mirror that has it whole."""
    path, failures = folder / f"{name}.gz", []
    for mirror in MIRRORS:
        address = mirror + path.name
        report(f"{path.name} is not in {folder}; downloading {address}")
        try:
            content = _checked(fetch(address), name)
        except (OSError, PartwayError) as error:
            failures.append(f"{mirror.split('/')[2]}: {getattr(error, 'reason', None) or error}")
        else:
            write_atomically(path, content)
            return path
    raise InputError(
        f"{path.name} is not in {folder} and cannot be downloaded ({'; '.join(failures)}); "
        f"put the four MNIST files ({', '.join(MD5)}, plain or .gz) into {folder} by hand"
    )


def _checked(content: bytes, name: str) -> bytes:
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if digest != MD5[name]:
        raise PartwayError(f"MD5 is {digest}, not {MD5[name]}")
    return content


def _digits(folder: Path, arrays: Mapping[str, Array], part: str) -> Digits:
    digits = Digits(arrays[f"{part}-images-idx3-ubyte"], arrays[f"{part}-labels-idx1-ubyte"])
    images, labels = digits.images, digits.labels
    fits = images.shape[1:] == (28, 28) and images.dtype == np.uint8 and labels.shape == images.shape[:1]
    if not fits or labels.max() > 9:
        raise InputError(
            f"the {part} files in {folder} are not MNIST (images {list(images.shape)}, labels "
            f"{list(labels.shape)}, largest label {labels.max()}); put the published files there"
        )
    return digits
