"""``python -m evalharness`` is the command ``evalharness``."""

import sys

from evalharness.cli.main import main

sys.exit(main())
