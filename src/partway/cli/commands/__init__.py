"""The verbs of ``partway``, one file per verb, of the same name, with ``HELP``, ``add_arguments`` and ``run``.

Each is registered under ``partway.commands`` in ``pyproject.toml``. ``partway --help`` imports all of them, so a module
here imports nothing heavy; ``run`` imports what its work needs.
"""
