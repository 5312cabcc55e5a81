"""Teaching: exercises with checkers that answer with a hint, quizzes, the chapters' map, the three books.

In a notebook::

    from safetune_utils.teaching import check, given

    answers = given("share_refused")["answers"]

    def share_refused(answers): ...

    print(check(share_refused, predicted=0.5))
"""

from safetune_utils.teaching.exercises import Checked, check, exercises, given

__all__ = ["Checked", "check", "exercises", "given"]
