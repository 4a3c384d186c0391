"""The MNIST files: found, fetched, checked."""

import gzip
import hashlib
import struct
from pathlib import Path

import pytest
from tests.support.mnist_files import no_network, quiet, write_mnist

from partway.errors import InputError
from partway.partitioner.zoo.training import data as mnist_data
from partway.partitioner.zoo.training.data import MD5, read_mnist


def test_reads_plain_and_gzipped_files(tmp_path):
    """Both spellings of a file will do, and the digests are of the content, not of the compression."""
    folder = write_mnist(tmp_path / "a")
    first = read_mnist(folder, quiet, no_network)
    packed = folder / "train-images-idx3-ubyte.gz"
    (folder / "train-images.idx3-ubyte").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    assert len(first.train) == 256
    assert len(first.test) == 64
    assert read_mnist(folder, quiet, no_network).digests == first.digests


def test_missing_data_without_network_is_one_sentence(tmp_path):
    """It names the file and every mirror tried, and says where to put the files."""
    with pytest.raises(InputError) as caught:
        read_mnist(tmp_path / "none", quiet, no_network)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert all(word in sentence for word in ("amazonaws.com", "googleapis.com", "by hand", *MD5))


def test_the_real_download_fails_with_oserror_only(monkeypatch):
    """Whatever urllib meets on the way, callers see OSError."""
    import http.client
    import urllib.request

    def broken(*_: object, **__: object) -> None:
        raise http.client.RemoteDisconnected("gone")

    monkeypatch.setattr(urllib.request, "urlopen", broken)
    with pytest.raises(OSError, match="gone"):
        mnist_data.download("https://localhost/x")


def test_missing_files_are_fetched_checked_and_kept(tmp_path, monkeypatch):
    """A mirror that lies is passed over, the next one is believed, and nothing is fetched twice."""
    source, folder = write_mnist(tmp_path / "source"), tmp_path / "new" / "data"
    packed = {name: gzip.compress(raw(source, name), 1) for name in MD5}
    monkeypatch.setattr(mnist_data, "MD5", {name: hashlib.md5(body).hexdigest() for name, body in packed.items()})
    lines: list[str] = []

    def fetch(address: str) -> bytes:
        name = address.rsplit("/", 1)[1].removesuffix(".gz")
        return b"an error page" if "amazonaws" in address else packed[name]

    fetched = read_mnist(folder, lines.append, fetch)
    assert fetched.digests == read_mnist(source, quiet, no_network).digests
    assert fetched.digests == read_mnist(folder, quiet, no_network).digests
    assert len(lines) == 8
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{name}.gz" for name in MD5)


def raw(folder: Path, name: str) -> bytes:
    packed = folder / f"{name}.gz"
    return gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / name).read_bytes()


def test_a_wrong_download_is_never_kept(tmp_path):
    """A file whose MD5 differs from the published one is refused, and the folder stays empty."""
    with pytest.raises(InputError, match="MD5"):
        read_mnist(tmp_path, quiet, lambda _: b"an error page")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["labels", "shape", "range"])
def test_files_that_are_not_mnist_are_refused(tmp_path, damage):
    """Too few labels, other image sizes and labels above 9 are told before training begins."""
    folder = write_mnist(tmp_path / "mnist")
    path, count = folder / "train-labels-idx1-ubyte", 256
    if damage == "shape":
        path = folder / "train-images-idx3-ubyte.gz"
        path.write_bytes(struct.pack(">4I", 0x803, count, 14, 56) + bytes(count * 784))
    elif damage == "labels":
        path.write_bytes(struct.pack(">2I", 0x801, 7) + bytes(7))
    else:
        path.write_bytes(struct.pack(">2I", 0x801, count) + b"\x0a" * count)
    with pytest.raises(InputError, match="are not MNIST"):
        read_mnist(folder, quiet, no_network)
