"""``python -m partway.cloud`` is ``cloud-serve``."""

from partway.cloud.main import main

raise SystemExit(main())
