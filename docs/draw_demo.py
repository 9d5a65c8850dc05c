"""Draw docs/demo.svg from stored runs: `python docs/draw_demo.py results` after `make demo`."""

import io
import re
import sys
from pathlib import Path

from rich.console import Console

from evalharness.run.store import ResultStore
from evalharness.run.table import comparison_table

MODELS = ("zoo-llama-tiny", "zoo-llama-small", "zoo-llama-base", "zoo-t5")


def main() -> None:
    """Take the newest run of each model and draw the table that sets them side by side."""
    newest = {}
    for entry in ResultStore(sys.argv[1]).runs():
        if entry.record is not None:
            newest.setdefault(entry.model, entry.record)
    console = Console(record=True, width=150, file=io.StringIO(), force_terminal=True)
    console.print(comparison_table([newest[name] for name in MODELS]))
    svg = console.export_svg(title="make demo")
    # A picture must not fetch fonts from elsewhere; any monospaced font will do.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    (Path(__file__).parent / "demo.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
