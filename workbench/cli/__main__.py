"""``python -m workbench.cli``."""

import sys

from workbench.cli.program import main

sys.exit(main())
