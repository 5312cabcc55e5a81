"""How much memory, time and disk a study takes on a kind of hardware, computed from counts."""
