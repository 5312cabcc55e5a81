"""The program's first lines, before anything that takes time is imported."""

import signal
import sys

# Bytes of address space below which Python's libraries cannot be loaded: some of them end the process.
_LEAST_ADDRESS_SPACE = 500_000_000


def main() -> None:
    """Run the command line; Ctrl-C before it has begun ends it without a word."""
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform != "win32":
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY and limit < _LEAST_ADDRESS_SPACE:
            from safetune_utils.terminal import say

            say(
                f"safetune: this process may have {limit / 1e9:g} GB of memory, too little to begin: raise"
                " the limit (ulimit -v, or that of the job) to 4 GB or more",
                error=True,
            )
            sys.exit(2)
    from safetune_utils.cli.main import main as program
    from safetune_utils.machine.quick_start import skip_grammar

    skip_grammar()
    program()


if __name__ == "__main__":
    main()
