"""The helper package of the Safety-Tuned LLaMAs book. Its rooms follow the road of the data:

    data sets -> a mix -> an adapter -> responses -> scores -> tidy results -> figures -> pages

``data`` sets and mixes; ``models`` base models; ``training`` adapters; ``generation`` responses;
``scoring`` instruments; ``study`` states an experiment and runs it; ``statistics`` shares and changes;
``teaching`` exercises and quizzes; ``book`` tables, figures and pages. ``annotation`` is what people do,
``services`` talks to servers, ``estimate`` says what a run takes, ``store`` keeps what was made,
``machine`` is this machine, ``cli`` the command line. A lower room never imports a higher one.
"""

import logging
import os

# Threads that wait for one another spin, and two processes that do so on the same cores slow one another
# several times over. OpenMP reads this when torch is imported, so it is set before, and the processes that we
# start inherit it. A policy of the user's own stays.
if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = "1000"

# A notebook that is executed for the book notes what it reads of the data.
if "SAFETUNE_READ" in os.environ:
    from safetune_utils.machine.opened import note_opened
    from safetune_utils.places import data_folder

    note_opened(data_folder())

# Where bitsandbytes is installed it warns on import about a faster kernel that is not; a page is no place for
# that.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
