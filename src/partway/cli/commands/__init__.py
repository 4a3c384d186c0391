"""The verbs of ``partway``, one file each, named like the verb: ``HELP``, ``add_arguments`` and ``run``.

Each is registered under ``partway.commands`` in ``pyproject.toml``. A module here loads nothing heavy when it is
imported, because ``partway --help`` imports them all; what the work needs is imported by ``run``.
"""
