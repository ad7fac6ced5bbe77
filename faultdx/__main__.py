"""`python -m faultdx` is the installed command."""

import signal


def main() -> None:
    """Run the command line; a Ctrl-C while it is still being imported ends it without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # nohup, or another's handler, stays in force
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from faultdx.cli import main as run

    run()


if __name__ == "__main__":
    main()
