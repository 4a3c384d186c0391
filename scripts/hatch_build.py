"""Build hook: refuses a checkout whose rooms are not linked into the package, which would build without any code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOMS = ("edge", "cloud", "partitioner", "engines", "proto")


class LinkCheck(BuildHookInterface):  # type: ignore[misc]
    """Runs before every build: of a wheel, an editable install or an sdist."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """End the build with one sentence where a room is missing from ``src/partway``."""
        package = Path(self.root, "src", "partway")
        missing = [room for room in ROOMS if not (package / room / "__init__.py").is_file()]
        if missing:
            self.app.abort(
                f"partway cannot be built: src/partway/{missing[0]} is not a link to the folder {missing[0]}; this"
                " checkout has no symbolic links: clone again with `git clone -c core.symlinks=true`"
            )
