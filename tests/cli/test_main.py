"""The ``partway`` command itself: help, verbs, mistakes, and what it loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

import partway
from partway.cli.main import main
from partway.errors import LinkLost

LOADED = """
import sys
from partway.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print(*sys.modules, file=sys.stderr)
"""


def loaded(*arguments: str) -> set[str]:
    """The modules that a new process has loaded after this command line."""
    command = [sys.executable, "-c", LOADED, *arguments]
    return set(subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stderr.split())


def test_alone_it_prints_its_help_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a verb the help goes to standard output, and the exit code is that of a usage error."""
    assert main([]) == 2
    out = capsys.readouterr().out
    assert "verify" in out and "prove that every split answers like the whole model" in out


def test_help_and_version_end_well(capsys: pytest.CaptureFixture[str]) -> None:
    """Both exit with code 0; every verb has help of its own."""
    for words, text in ((["--help"], "link "), (["--version"], partway.__version__), (["bench", "--help"], "--rate")):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
        assert text in capsys.readouterr().out


def test_an_unknown_verb_is_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, exit code 2."""
    assert main(["verfy", "mnist"]) == 2
    assert "unknown command 'verfy'; did you mean 'verify'?" in capsys.readouterr().err


def test_an_unknown_option_is_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    """Before the verb and after it."""
    for words, sentence in (
        (["--versoin"], "partway: unknown option --versoin; did you mean --version?"),
        (["verify", "mnist", "--agianst", "x"], "partway verify: unknown option --agianst; did you mean --against?"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(words)
        assert capsys.readouterr().err.strip() == sentence


@pytest.mark.parametrize("error, code", [(LinkLost("away"), 1), (KeyboardInterrupt(), 130), (BrokenPipeError(), 1)])
def test_what_a_verb_raises_becomes_an_exit_code(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error of ours prints its sentence, and no traceback appears."""

    def fail(args: object) -> int:
        raise error

    monkeypatch.setattr("partway.cli.commands.models.run", fail)
    assert main(["models"]) == code
    assert capsys.readouterr().err == ("partway: away\n" if code == 1 and str(error) else "")


def test_help_loads_nothing_heavy() -> None:
    """The overview imports every verb, and none of them imports rich, numpy, torch, gRPC or the partitioner."""
    modules = loaded("--help")
    assert "partway.cli.commands.bench" in modules
    heavy = {"rich", "numpy", "torch", "onnx", "onnxruntime", "grpc", "partway.partitioner.plan.plan"}
    assert not heavy & modules


def test_a_verb_loads_no_other_verb() -> None:
    """Only the module of the verb that runs is imported."""
    modules = loaded("models", "--json")
    verbs = {name for name in modules if name.startswith("partway.cli.commands.")}
    assert verbs == {"partway.cli.commands.models"}
