"""The way in. Answers `--version` before anything else is imported."""

import os
import sys


def main() -> None:
    """Run `fusion`."""
    if sys.argv[1:] == ["--version"]:
        from fusion_cli import __version__

        os.write(1, f"fusion {__version__}\n".encode())
        os._exit(0)  # there is nothing to tear down, and tearing it down takes as long as all the rest
    import gc

    gc.disable()  # a start makes objects and no garbage; `context` puts it on again
    from fusion_cli.cli import main as run

    run()


if __name__ == "__main__":
    main()
