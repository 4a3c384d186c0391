"""WAV files of every kind, against the samples they were made of, and damaged ones."""

import struct
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.audio import tone, write_wav

from partway.edge.sources.audio.riff import BLOCK, read_format, read_samples
from partway.errors import InputError

KINDS = [(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64)]


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize(("kind", "bits"), KINDS)
def test_every_kind_is_read(kind: int, bits: int, extensible: bool, tmp_path: Path) -> None:
    """The samples are those that were written, as far as the kind can hold them."""
    samples = tone(16000, 0.5)
    path = write_wav(tmp_path / "a.wav", samples, 22050, kind, bits, extensible)
    form = read_format(path)
    assert (form.rate_hz, form.channels, form.bits) == (22050, 1, bits)
    read = np.concatenate(list(read_samples(path, form)))
    np.testing.assert_allclose(read, samples, atol=1.1 / 2 ** (min(bits, 24) - 1))


def test_what_the_standard_library_writes_is_read_in_blocks(tmp_path: Path) -> None:
    """A long file with two channels never is in memory as a whole; the channels' mean is taken."""
    left, right = (np.random.default_rng(seed).integers(-3000, 3000, 3 * BLOCK + 17) for seed in (0, 1))
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(np.stack([left, right], 1).astype("<i2").tobytes())
    blocks = list(read_samples(tmp_path / "a.wav", read_format(tmp_path / "a.wav")))
    assert max(map(len, blocks)) == BLOCK
    np.testing.assert_allclose(np.concatenate(blocks), (left + right) / 65536, atol=1e-6)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 10**6])
def test_a_header_that_was_never_completed_costs_nothing(size: int, tmp_path: Path) -> None:
    """ffmpeg into a pipe, or a recorder that lost its power: the samples run to the end of the file."""
    path = write_wav(tmp_path / "a.wav", tone(16000, 0.1), size=size)
    assert len(np.concatenate(list(read_samples(path, read_format(path))))) == 1600


def test_other_chunks_are_skipped(tmp_path: Path) -> None:
    """Names and comments may come first; an odd one is followed by a byte of padding."""
    path = write_wav(tmp_path / "a.wav", tone(16000, 0.1), before=b"LIST" + struct.pack("<I", 3) + b"abc\0")
    assert read_format(path).rate_hz == 16000


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "is no WAV file; convert it"),
        (b"ID3 an mp3 in disguise", "is no WAV file"),
        (b"RIFF\0\0\0\0WAVE", "without samples"),
        (b"RIFF\0\0\0\0WAVEfmt \2\0\0\0ab", "damaged WAV header"),
        (
            b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 2, 1, 8000, 4000, 1, 4),
            "format 2 with 4 bits and 1 channels at 8000 Hz; convert it",
        ),
    ],
)
def test_what_cannot_be_read_is_a_sentence(body: bytes, says: str, tmp_path: Path) -> None:
    """Other formats say how to convert the file."""
    (tmp_path / "a.wav").write_bytes(body)
    with pytest.raises(InputError, match=says):
        read_format(tmp_path / "a.wav")
    with pytest.raises(InputError, match="cannot be read"):
        read_format(tmp_path / "none.wav")


@given(st.integers(0, 60), st.integers(0, 255), st.integers(0, 400))
def test_a_damaged_file_is_samples_or_a_sentence(at: int, value: int, length: int) -> None:
    """Any byte of the header changed, and the file cut anywhere."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = write_wav(Path(folder, "a.wav"), tone(8000, 0.02))
        body = bytearray(path.read_bytes())
        body[at] = value
        path.write_bytes(bytes(body[:length]))
        try:
            assert all(block.dtype == np.float32 for block in read_samples(path, read_format(path)))
        except InputError as error:
            assert "a.wav" in str(error)
