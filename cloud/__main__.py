"""``python -m partway.cloud`` is ``cloud-serve``."""

from partway.cloud.cli import main

raise SystemExit(main())
