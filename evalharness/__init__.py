"""evalharness: evaluate language-model checkpoints with numbers that can be trusted."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("evalharness")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
