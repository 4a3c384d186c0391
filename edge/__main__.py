"""``python -m partway.edge`` is ``edge-run``."""

from partway.edge.cli import main

raise SystemExit(main())
