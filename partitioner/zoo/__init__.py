"""The models that ``--model NAME`` knows: folders with a plan, its stage files and, for some, sample inputs.

It imports ``slicing`` and what lies below it. A device needs the names, folders and samples only; ``cuts``, ``export``,
``networks`` and ``training`` make the models, and a device never imports them.
"""

from partway.partitioner.zoo.bundled import (
    bundled_folder,
    bundled_models,
    known_models,
    sample_folder,
    unknown_model,
)
from partway.partitioner.zoo.model_folder import model_folder

__all__ = ["bundled_folder", "bundled_models", "known_models", "model_folder", "sample_folder", "unknown_model"]
