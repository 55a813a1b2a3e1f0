"""`python -m benchmarks`, or `course bench`: measure this machine and write RESULTS.md."""

import argparse
import sys
from pathlib import Path

from benchmarks import run


def main() -> None:
    """Parse the command line and measure; what the user can fix is one sentence and exit code 2."""
    parser = argparse.ArgumentParser(prog="course bench", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"which parts; none means all: {', '.join(run.PARTS)}")
    parser.add_argument("--out", type=Path, help="the folder of RESULTS.md; default: benchmarks/")
    options = parser.parse_args()
    try:
        print(run.run(options.parts, options.out))
    except (ValueError, FileNotFoundError) as error:
        print(f"course bench: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
