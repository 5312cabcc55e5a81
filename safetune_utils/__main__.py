"""The program's first lines, before anything that takes time is imported."""

import signal


def main() -> None:
    """Run the command line; Ctrl-C before it has begun ends it without a word."""
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from safetune_utils.cli.main import main as program

    program()


if __name__ == "__main__":
    main()
