"""The options that say how a cloud is reached: what they read, and what is refused before anything is sent."""

import argparse
from pathlib import Path

import pytest
from tests.support.certs import Authority, authority

from partway.edge.transport.access.access import OPEN, Access
from partway.edge.transport.access.options import access_arguments, access_of
from partway.errors import InputError
from partway.system.credentials import TOKEN_VARIABLE

TOKEN = "5f1d7e84c2a9b06d"


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment brings no token, unless the test says so."""
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def device(ca: Authority) -> tuple[Path, Path]:
    """This device's own certificate and key."""
    return ca.issue("device", "DNS:device")


def access_by(*words: object) -> Access:
    """What a command line of these words reaches a cloud by."""
    parser = argparse.ArgumentParser()
    access_arguments(parser)
    return access_of(parser.parse_args([str(word) for word in words]))


def token_file(folder: Path, text: str = TOKEN + "\n", mode: int = 0o600) -> Path:
    """A file that holds this text."""
    file = folder / "token"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_without_options_a_cloud_is_reached_in_the_clear() -> None:
    """No token, no TLS."""
    assert access_by() == OPEN


def test_a_token_comes_from_its_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file goes before the environment; no TLS is asked for by a token."""
    monkeypatch.setenv(TOKEN_VARIABLE, "from-the-environment")
    assert access_by() == Access("from-the-environment")
    assert access_by("--token-file", token_file(tmp_path)) == Access(TOKEN)


def test_a_token_that_others_may_read_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is used all the same, and the warning does not show it."""
    assert access_by("--token-file", token_file(tmp_path, mode=0o644)).token == TOKEN
    assert "any user of this machine may read it" in caplog.text
    assert TOKEN not in caplog.text


def test_a_ca_asks_for_tls(ca: Authority) -> None:
    """Its certificates become the only ones that are trusted."""
    tls = access_by("--tls-ca", ca.ca).tls
    assert tls is not None
    assert (tls.roots, tls.certificate, tls.key, tls.name) == (ca.ca.read_bytes(), None, None, "")


def test_tls_alone_trusts_what_the_system_trusts(ca: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """``SSL_CERT_FILE`` is honoured, as by other programs."""
    monkeypatch.setenv("SSL_CERT_FILE", str(ca.ca))
    tls = access_by("--tls").tls
    assert tls is not None
    assert tls.roots == ca.ca.read_bytes()


def test_a_name_or_a_certificate_of_its_own_asks_for_tls_too(
    ca: Authority, device: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody who gives a TLS option is connected in the clear."""
    monkeypatch.setenv("SSL_CERT_FILE", str(ca.ca))
    named = access_by("--tls-name", "cloud.example").tls
    assert named is not None
    assert named.name == "cloud.example"
    own = access_by("--tls-cert", device[0], "--tls-key", device[1]).tls
    assert own is not None
    assert (own.certificate, own.key) == device


@pytest.mark.parametrize("option", ["--tls-cert", "--tls-key"])
def test_a_certificate_and_its_key_come_together(option: str, device: tuple[Path, Path]) -> None:
    """One alone is refused with both options named."""
    with pytest.raises(InputError, match="needs both --tls-cert FILE and --tls-key FILE"):
        access_by("--tls", option, device[0])


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "is empty"), ("two words", "holds no valid token"), ("a\nb", "holds no valid token"), ("é", "is not text")],
)
def test_what_is_no_token_is_refused_and_not_shown(text: str, says: str, tmp_path: Path) -> None:
    """The sentence names the file, never what is in it."""
    file = token_file(tmp_path, text)
    with pytest.raises(InputError, match=says) as caught:
        access_by("--token-file", file)
    assert str(file) in str(caught.value)
    assert "two words" not in str(caught.value)


def test_files_that_cannot_be_used_are_refused_at_once(
    ca: Authority, device: tuple[Path, Path], tmp_path: Path
) -> None:
    """Missing, damaged, mixed up, or of two pairs: each is one sentence that names the file or the option."""
    damaged = tmp_path / "damaged.pem"
    damaged.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    certificate, key = device
    _, other_key = ca.issue("other", "DNS:other")
    refused = {
        ("--tls-ca", tmp_path / "missing.pem"): "missing.pem cannot be read",
        ("--tls-ca", tmp_path): "is a folder; give the file",
        ("--tls-ca", key): "holds no certificate in PEM format",
        ("--tls-ca", damaged): "the CA file holds a damaged certificate; check --tls-ca",
        ("--tls-ca", ca.ca, "--tls-cert", key, "--tls-key", key): "holds no certificate in PEM format",
        ("--tls-ca", ca.ca, "--tls-cert", certificate, "--tls-key", certificate): "is not a private key in PEM format",
        ("--tls-ca", ca.ca, "--tls-cert", certificate, "--tls-key", other_key): "is not the key of certificate",
        ("--token-file", tmp_path / "missing"): "missing cannot be read",
    }
    for words, says in refused.items():
        with pytest.raises(InputError, match=says) as caught:
            access_by(*words)
        assert "\n" not in str(caught.value)


def test_no_option_takes_a_token_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """A command line is seen by every user of the machine."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    access_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["--token", TOKEN])
    assert "--token-file FILE" in capsys.readouterr().err
