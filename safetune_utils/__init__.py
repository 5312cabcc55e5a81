"""LoRA safety tuning, generation, scoring and pages: the helper package of the Safety-Tuned LLaMAs book.

The rooms follow the road of the data: ``settings``, ``prompts`` and ``stats`` below, then ``data``, ``models`` and
``records``; ``mixtures``, ``generate`` and ``scoring``; ``finetune``; ``study``, ``figures`` and ``pages``; and on top
``notebooks``, ``site`` and ``cli``. A lower room never imports a higher one.
"""

import logging

# Where bitsandbytes is installed it warns on import about a faster kernel that is not; a page is no place for that.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
