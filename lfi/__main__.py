"""`python -m lfi`, and so `torchrun -m lfi`: the installed command `lfi`, whichever package provides it.

The science does not know the app; the distribution's entry point does.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, distribution

DISTRIBUTION = "learning-from-interactions"


def main() -> None:
    """Run the command with the process's arguments."""
    try:
        (command,) = distribution(DISTRIBUTION).entry_points.select(group="console_scripts", name="lfi")
    except (PackageNotFoundError, ValueError):
        sys.exit(f"lfi: the command is not installed; run `pip install -e .` in the folder of {DISTRIBUTION}")
    command.load()()


if __name__ == "__main__":
    main()
