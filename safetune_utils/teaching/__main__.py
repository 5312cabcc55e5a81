"""Write ``book/exercises`` anew from ``book/solutions``."""

from safetune_utils.teaching import sealed

sealed.write()
