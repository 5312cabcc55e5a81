"""Imported first by the process that others are forked from, which the imports after it may keep busy for
seconds.
"""

from safetune_utils.machine.stopping import end_with_parent

end_with_parent()
