"""One cloud for a module: the shipped model, and small ones that show what was asked of them."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from tests.support.served import LONG_S, Client, Cloud, served

from partway.cloud import server
from partway.cloud.models.repository import ServedModel, load_model
from partway.partitioner.zoo import model_folder
from partway.proto.tensors import TensorSpec

X = TensorSpec("x", "float32", (None, 4))
Y = TensorSpec("y", "float32", (None, 4))


class Gate:
    """Holds a stage until it is opened; tells when somebody stands before it."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Semaphore(0), threading.Event()
        self.runs = 0

    def pass_through(self) -> None:
        self.runs += 1
        self.reached.release()
        self.opened.wait()


@pytest.fixture(scope="session")
def mnist() -> ServedModel:
    """The shipped model, loaded as the cloud loads it."""
    return load_model(model_folder("mnist"), 1)


@pytest.fixture
def gate() -> Iterator[Gate]:
    """The gate before model ``held``; opened after the test so that nobody waits for ever."""
    made = Gate()
    yield made
    made.opened.set()


def held(gate: Gate) -> ServedModel:
    """A model that doubles, once its gate is open."""

    def double(values: "dict[str, np.ndarray]") -> "dict[str, np.ndarray]":  # type: ignore[type-arg]
        gate.pass_through()
        return {"y": values["x"] * 2}

    return served("held", double, (X,), (Y,), LONG_S)


def small_models() -> dict[str, ServedModel]:
    """``double`` at once, ``slow`` in the thread, ``broken`` and ``slowly-broken`` never, ``pair`` of many dtypes."""

    def double(values: "dict[str, np.ndarray]") -> "dict[str, np.ndarray]":  # type: ignore[type-arg]
        return {"y": values["x"] * 2}

    def broken(values: "dict[str, np.ndarray]") -> "dict[str, np.ndarray]":  # type: ignore[type-arg]
        raise RuntimeError("secret at /nowhere/broken.py")

    def swap(values: "dict[str, np.ndarray]") -> "dict[str, np.ndarray]":  # type: ignore[type-arg]
        return {"c": values["a"], "d": values["b"], "e": ~values["flag"]}

    pair_in = (TensorSpec("a", "int64", (2,)), TensorSpec("b", "int8", (None, 2)), TensorSpec("flag", "bool", (1,)))
    pair_out = (TensorSpec("c", "int64", (2,)), TensorSpec("d", "int8", (None, 2)), TensorSpec("e", "bool", (1,)))
    return {
        "double": served("double", double, (X,), (Y,)),
        "slow": served("slow", double, (X,), (Y,), LONG_S),
        "broken": served("broken", broken, (X,), (Y,)),
        "slowly-broken": served("slowly-broken", broken, (X,), (Y,), LONG_S),
        "pair": served("pair", swap, pair_in, pair_out),
    }


@pytest.fixture(scope="module")
def cloud(mnist: ServedModel) -> Iterator[Cloud]:
    """A server with the shipped model and the small ones."""
    with Cloud({"mnist": mnist, **small_models()}) as made:
        yield made


@pytest.fixture
def client(cloud: Cloud) -> Iterator[Client]:
    """A connection of the test's own."""
    with Client(cloud.port) as made:
        yield made


@pytest.fixture
def gated(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A server with ``held`` behind the gate and ``double`` beside it."""
    monkeypatch.setattr(server, "DRAIN_S", 0.2)
    with Cloud({"held": held(gate), "double": small_models()["double"]}) as made:
        yield made
        gate.opened.set()
