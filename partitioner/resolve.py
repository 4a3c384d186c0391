"""Turn a command's MODEL into a file that can be sliced: model files as they are, others exported by PyTorch."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from partway.errors import InputError
from partway.partitioner.formats.pytorch.load import PICKLES, is_spec, refuse_pickle
from partway.partitioner.plan.model_file.wrong_model import what_it_is
from partway.partitioner.zoo.bundled import bundled_models
from partway.partitioner.zoo.cache import plan_name
from partway.partitioner.zoo.catalogue import ZOO
from partway.partitioner.zoo.export import export_model
from partway.plugins import did_you_mean
from partway.units import encodable

PROGRAM = ".pt2"


def is_torch(model: str) -> bool:
    """Whether a MODEL is ``module:factory``, an exported program, or a pickle that has to be refused."""
    return is_spec(model) or Path(model).suffix.lower() in (PROGRAM, *PICKLES)


def is_zoo_name(model: str) -> bool:
    """Whether a MODEL is a name of the zoo and not a file."""
    return model in ZOO and not Path(model).is_file()


def _name(model: str, random: bool) -> str:
    """The name of its plan: the factory's name, or the file's."""
    if is_zoo_name(model):
        return plan_name(model, random)
    return model.rpartition(":")[2].rpartition(".")[2] if is_spec(model) else encodable(Path(model).stem)


@contextmanager
def model_file(
    model: str, example: Sequence[str] = (), weights: Path | None = None, *, random: bool = False
) -> Iterator[Path]:
    """The model's file; a file exported from PyTorch is deleted at the end. Raises InputError."""
    by_name = is_zoo_name(model)
    if random and not by_name:
        raise InputError(f"--random-weights is for models by name (`partway models` lists them), not for {model}")
    if Path(model).is_file() and Path(model).suffix.lower() in PICKLES:
        export(model, Path())  # raises, whatever the options
    if (example or weights is not None) and (by_name or not is_torch(model)):
        raise InputError(f"--example-input and --weights are for PyTorch modules, not for {model}")
    if not by_name and not is_torch(model):
        _check_name(model)
        yield Path(model)
        return
    with tempfile.TemporaryDirectory(prefix="partway-") as folder:
        path = Path(folder) / f"{_name(model, random)}.onnx"
        if by_name:
            export_model(model, path, random)
        else:
            export(model, path, example, weights)
        yield path


def _check_name(model: str) -> None:
    """Raise InputError for a name that is no file and no model that can be made."""
    path = Path(model)
    if path.exists() or path.suffix or len(path.parts) > 1:
        return
    if model in bundled_models():
        raise InputError(f"{model} is shipped as a plan, which is sliced already; `edge-run --model {model}` runs it")
    hint = did_you_mean(model, list(ZOO))
    raise InputError(
        f"there is no file {model!r:.80}, and no model of that name{hint or '; `partway models` lists them'}"
    )


def export(model: str, path: Path, example: Sequence[str] = (), weights: Path | None = None) -> None:
    """Write the ONNX file of ``module:factory`` or of a ``.pt2``. Raises InputError."""
    suffix = Path(model).suffix.lower()
    if not is_spec(model) and suffix in PICKLES:
        if not Path(model).exists():
            raise InputError(f"there is no file {model}; check the path")
        known = what_it_is(Path(model))
        raise InputError(f"{model} is {known}") if known else refuse_pickle(model)
    from partway.partitioner.formats.pytorch.export import write_onnx

    write_onnx(_traced(model, example, weights), path)


def _traced(model: str, example: Sequence[str], weights: Path | None) -> Any:
    from partway.partitioner.formats.pytorch.example_input import read_example
    from partway.partitioner.formats.pytorch.load import load_module
    from partway.partitioner.formats.pytorch.pt2 import load_program
    from partway.partitioner.formats.pytorch.trace import of_program, trace

    if not is_spec(model):
        if weights is not None:
            raise InputError(f"{model} has its weights in it; --weights is for module:factory")
        if example:
            raise InputError(f"{model} was exported with an example of its own; leave out --example-input")
        return of_program(load_program(Path(model)))
    module = load_module(model, weights)
    if not example:
        raise InputError(f"{model} needs --example-input, a shape such as 1x3x224x224 or an .npy or .npz file")
    return trace(module, read_example(example))
