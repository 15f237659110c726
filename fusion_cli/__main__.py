"""The way in. Answers `--version` before anything else is imported."""

import os
import sys


def main() -> None:
    """Run `fusion`."""
    if sys.argv[1:] == ["--version"]:
        from fusion_cli import __version__

        try:
            os.write(1, f"fusion {__version__}\n".encode())
        except BrokenPipeError:
            os._exit(141)  # as `errors.ClosedPipeError` says, which is not imported for that
        except OSError as error:
            import errno

            is_closed = error.errno == errno.EBADF
            said = "standard output is closed" if is_closed else f"standard output: {error.strerror}"
            try:
                os.write(2, f"fusion: {said}\n".encode())
            finally:
                os._exit(2 if is_closed else 1)
        os._exit(0)  # there is nothing to tear down, and tearing it down takes as long as all the rest
    import _signal  # type: ignore[import-not-found]  # built in; `signal` itself costs an import of enum
    import gc

    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # until `cli.main` listens: no traceback of an import
    gc.disable()  # a start makes objects and no garbage; `context` puts it on again
    from fusion_cli.cli import main as run

    run()


if __name__ == "__main__":
    main()
