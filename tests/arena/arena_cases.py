"""Votes of voters that do not exist."""

from evalharness.arena.votes import Rating, Vote


def vote(outcome="first", *, voter="v1", document="d1", first="a", second="b", second_of_day=0, **more):
    return Vote(
        **{
            "voter": voter,
            "task": "qa",
            "input_hash": f"hash-{document}",
            "document_id": document,
            "first_model": first,
            "second_model": second,
            "first_run": f"run-{first}",
            "second_run": f"run-{second}",
            "outcome": outcome,
            "voted": f"2026-11-21T00:00:{second_of_day:02d}.000+00:00",
            **more,
        }
    )


def rating(value, *, voter="v1", document="d1", model="a", criterion="accuracy"):
    return Rating(
        voter,
        "qa",
        f"hash-{document}",
        document,
        model,
        f"run-{model}",
        criterion,
        value,
        "2026-11-21T00:00:00.000+00:00",
    )
