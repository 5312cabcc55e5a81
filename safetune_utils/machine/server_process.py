"""Imported first by the process that others are forked from, which the imports after it may keep busy for
seconds.
"""

import atexit
import os

from safetune_utils.machine.stopping import end_with_parent

end_with_parent()
atexit.register(os._exit, 0)  # to take down all that it imported would take seconds, too
