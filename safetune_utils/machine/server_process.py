"""Imported first by the process that others are forked from, which the imports after it may keep busy for
seconds.
"""

import atexit
import os

from safetune_utils.machine.stopping import STARTED_BY, end_with_parent

# The one that starts this process says who it is, for it may be gone before this process can ask.
end_with_parent(int(os.environ.pop(STARTED_BY, "0")))
atexit.register(os._exit, 0)  # to take down all that it imported would take seconds, too
