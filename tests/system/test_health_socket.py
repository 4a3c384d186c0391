"""``--health`` of both halves: the action and the name of the socket."""

from __future__ import annotations

import pytest

from partway.system.arguments import Parser
from partway.system.health_socket import HealthAction, health_name, wants_health


def test_only_images_want_health(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens unless the variable is 1."""
    for value, wanted in (("1", True), ("0", False), ("", False)):
        monkeypatch.setenv("PARTWAY_HEALTH", value)
        assert wants_health() is wanted
    monkeypatch.delenv("PARTWAY_HEALTH")
    assert not wants_health()


def test_the_halves_have_names_of_their_own() -> None:
    """Both name the process namespace: containers that share their host's network do not answer for each other."""
    edge, cloud = health_name("edge"), health_name("cloud")
    assert edge != cloud
    assert edge.removeprefix("partway-edge-") == cloud.removeprefix("partway-cloud-")
    assert edge.rpartition("-")[2].isdigit()


@pytest.mark.parametrize(("state", "code"), [((True, "serving"), 0), ((False, "no edge-run answers here"), 1)])
def test_the_action_prints_and_exits(state: tuple[bool, str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence on standard output; code 0 where all is well. What else the command line lacks does not matter."""
    parser = Parser("edge-run")
    parser.add_argument("--model", required=True)
    parser.add_argument("--health", action=HealthAction, nargs=0, const=lambda: state)
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--health"])
    assert ended.value.code == code
    assert capsys.readouterr().out == f"{state[1]}\n"
