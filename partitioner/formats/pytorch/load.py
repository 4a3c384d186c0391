"""Load a module: ``package.module:factory`` by import, its weights from a file without running its code."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

from partway.errors import InputError, MissingPackage
from partway.partitioner.formats.pytorch.package import import_torch
from partway.partitioner.formats.pytorch.user_frame import first_line, place

SPEC = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".ckpt")


def is_spec(text: str) -> bool:
    """Whether a MODEL is ``module:factory``."""
    return SPEC.fullmatch(text) is not None


def refuse_pickle(path: str) -> InputError:
    """The sentence for a file that would have to be unpickled, with what to save instead."""
    return InputError(
        f"{path} is a pickle, which runs whatever code is in it when it is loaded: refused; save the weights with"
        " torch.save(model.state_dict(), 'weights.pt') and give `module:factory --weights weights.pt`, or the whole"
        " with torch.export.save(torch.export.export(model, (example,)), 'model.pt2')"
    )


def load_module(spec: str, weights: Path | None = None) -> Any:
    """The ``nn.Module`` that ``module:factory`` names or makes, in eval mode.

    The factory is a module, a class, or a function without arguments. Imports from the current folder too. Raises
    InputError.
    """
    torch = import_torch()
    where, _, name = spec.partition(":")
    model = _instantiated(_imported(where), name, spec)
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"{spec} gives a {type(model).__name__}, not a torch.nn.Module; name what makes the model")
    if weights is not None:
        load_weights(model, weights)
    return model.eval()


def _imported(where: str) -> Any:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return importlib.import_module(where)
    except ModuleNotFoundError as error:
        if error.name is not None and (where == error.name or where.startswith(f"{error.name}.")):
            raise InputError(f"there is no Python module {where!r} here or installed; check the name") from error
        raise InputError(f"importing {where} failed: it needs {error.name!r}, which is not installed") from error
    except Exception as error:  # it is the user's code and may raise anything
        raise InputError(f"importing {where} failed{_at(error)}: {first_line(error)}") from error
    finally:
        sys.path.remove(here)


def _instantiated(module: Any, name: str, spec: str) -> Any:
    torch = import_torch()
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise InputError(f"{module.__name__} has no {name!r}; give {module.__name__}:FACTORY, a class or function")
        found = getattr(found, part)
    if isinstance(found, torch.nn.Module) or not callable(found):
        return found
    try:
        return found()
    except Exception as error:  # as above
        raise InputError(
            f"{spec} cannot be called without arguments{_at(error)}: {first_line(error)}; name a function that"
            " makes the model by itself"
        ) from error


def load_weights(module: Any, path: Path) -> None:
    """Put a state dict (``.pt``, loaded with ``weights_only``, or ``.safetensors``) in a module. Raises InputError."""
    state = read_state(path)
    try:
        module.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = (lines[1] if len(lines) > 1 else first_line(error))[:200]
        raise InputError(f"the weights in {path} are not of this module: {why}") from error


def read_state(path: Path) -> dict[str, Any]:
    """Tensors by name from a file of weights; no code in it runs. Raises InputError."""
    torch = import_torch()
    if not path.is_file():
        raise InputError(f"weights file {path} is not there; check the path")
    if path.suffix.lower() == ".safetensors":
        return _safetensors(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling a damaged or hostile file raises anything
        if "weights" in str(error).lower() and "unsupported" in str(error).lower():
            raise refuse_pickle(str(path)) from error
        raise InputError(f"{path} is no state dict ({first_line(error)}); save one with torch.save") from error
    if isinstance(state, dict) and isinstance(inner := state.get("state_dict"), dict):
        state = inner  # a training checkpoint
    if not isinstance(state, dict) or not all(isinstance(one, torch.Tensor) for one in state.values()):
        raise InputError(f"{path} holds no state dict; save one with torch.save(model.state_dict(), {path.name!r})")
    return state


def _safetensors(path: Path) -> dict[str, Any]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingPackage("weights in .safetensors need safetensors: pip install 'partway[torch]'") from error
    try:
        return dict(load_file(path))
    except Exception as error:  # its own exception type is not public
        raise InputError(f"{path} is no safetensors file ({first_line(error)}); save it again") from error


def _at(error: BaseException) -> str:
    return f" at {found}" if (found := place(error)) else ""
