"""``python -m partway`` is the ``partway`` command."""

from partway.cli.main import main

raise SystemExit(main())
