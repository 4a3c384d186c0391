"""Say what a figure was measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

from partway.partitioner.profile.measure import machine_name


def machine_line(*packages: str) -> str:
    """One line: processor, cores, Python, and the versions of the packages that matter."""
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    return f"{machine_name()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}"
