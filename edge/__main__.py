"""``python -m partway.edge`` is ``edge-run``."""

from partway.edge.main import main

raise SystemExit(main())
