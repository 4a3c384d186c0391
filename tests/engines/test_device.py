"""Which device is chosen, and why."""

import pytest

from partway.engines import device
from partway.engines.device import Chosen, choose_device, no_driver
from partway.errors import InputError, MissingPackage


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str | None, str]]:
    """A driver that finds a GPU, and what each engine finds of it."""
    found: dict[str, tuple[str | None, str]] = {"torch": ("GPU", ""), "onnx": ("provider", "")}
    monkeypatch.setattr(device, "no_driver", lambda: None)
    monkeypatch.setattr(device, "_find_gpu", lambda engine, index: found[engine])
    return found


def test_the_cpu_is_taken_where_it_is_asked_for() -> None:
    """Whatever else there is."""
    assert str(choose_device("cpu", "torch")) == "cpu: as asked"


def test_torch_is_preferred_on_a_gpu(gpus: dict[str, tuple[str | None, str]]) -> None:
    """ONNX Runtime serves where torch cannot; an engine that was named is kept."""
    assert choose_device("cuda:1") == Chosen("cuda:1", "torch", "GPU")
    assert choose_device("auto", "onnx") == Chosen("cuda:0", "onnx", "provider")
    gpus["torch"] = (None, "torch is not installed")
    assert choose_device("auto") == Chosen("cuda:0", "onnx", "provider")


def test_without_a_gpu_the_first_reason_counts(gpus: dict[str, tuple[str | None, str]]) -> None:
    """auto falls back to the CPU; CUDA by name is refused, with the extra where a package is missing."""
    gpus |= {"torch": (None, "torch is not installed"), "onnx": (None, "no provider")}
    assert choose_device("auto") == Chosen("cpu", "auto", "torch is not installed")
    with pytest.raises(MissingPackage, match=r"--device cuda cannot be had: torch is not installed.*partway\[torch\]"):
        choose_device("cuda")
    gpus["torch"] = (None, "torch finds no CUDA device")
    with pytest.raises(InputError, match=r"torch finds no CUDA device; choose --device cpu$") as caught:
        choose_device("cuda:0", "torch")
    assert not isinstance(caught.value, MissingPackage)


@pytest.mark.parametrize("engine", ["litert", "onnx-int8", "fake"])
def test_engines_of_the_cpu_alone_say_so(engine: str) -> None:
    """With auto they compute there; CUDA by name is refused with those that can."""
    assert choose_device("auto", engine).device == "cpu"
    with pytest.raises(InputError, match=f"{engine} does not run on CUDA; choose --engine torch or onnx"):
        choose_device("cuda", engine)


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:1000", "cuda:\u0661", ""])
def test_an_unknown_device_is_named(name: str) -> None:
    """Beside those there are."""
    with pytest.raises(InputError, match="choose auto, cpu, cuda or cuda:i"):
        choose_device(name)


def test_a_driver_is_looked_for_without_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """No library: the reason says that no driver is installed."""

    def absent(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(device.ctypes, "CDLL", absent)
    assert no_driver() == "no NVIDIA driver is installed"
