"""Pages and parts of pages that are made from data: data cards, instruments, parameters, speed."""
