"""Makes the zoo's modules importable, as they are for `python examples/zoo/train.py`."""

import sys
from pathlib import Path

ZOO = Path(__file__).parents[2] / "examples" / "zoo"
sys.path.insert(0, str(ZOO))
