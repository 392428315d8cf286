"""`python -m proxy`: the same as `weir`."""

import sys

from proxy.cli import main

sys.exit(main())
