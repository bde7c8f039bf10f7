"""Small tables of ratings, and a population small enough to be quick."""

from evaluation.study.ratings import as_ratings, rating_row

TIME = "2026-11-24T09:30:00+00:00"


def rating(rater, item, condition, value, **values):
    usual = {"study": "s", "trial": 0, "image": item, "word": "dog", "scale": 5, "response_ms": 2000}
    usual |= {"kind": "rating", "created_at": TIME}
    return rating_row(rater=rater, item=item, condition=condition, value=value, **usual | values)


def crossed(consistent, raters=10, items=10):
    """Every rater rates every item in every condition; `consistent(condition, rater, item)` says whether as 5 or 1."""
    return as_ratings(
        rating(f"r{rater:02}", f"i{item:02}", condition, 5 if consistent(condition, rater, item) else 1, trial=trial)
        for rater in range(raters)
        for trial, (item, condition) in enumerate((i, c) for i in range(items) for c in ("lfi", "baseline"))
    )
