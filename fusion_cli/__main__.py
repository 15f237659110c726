"""The way in. Answers `--version` before anything else is imported."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run `fusion`."""
    if sys.argv[1:] == ["--version"]:
        from fusion_cli import __version__

        print(f"fusion {__version__}")
        sys.exit(0)
    from fusion_cli.cli import main as run

    run()


if __name__ == "__main__":
    main()
