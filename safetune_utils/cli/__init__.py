"""The command line: ``safetune`` or ``python -m safetune_utils``, one file a group of commands.

Exit status 0 only when the work is done; 2 for a mistake that its one line on standard error says how to
mend; 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.
"""
