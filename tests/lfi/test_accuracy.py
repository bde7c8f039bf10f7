"""An answer is right only where it stands out."""

import pytest
import torch

from lfi.accuracy import among_best

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("scores", "first", "second"),
    [
        ((3.0, 2.0, 1.0), True, True),
        ((2.0, 3.0, 1.0), False, True),
        ((1.0, 2.0, 3.0), False, False),
        ((1.0, -INF, -INF), True, True),
        ((2.0, 2.0, 1.0), False, True),
        ((2.0, 2.0, 2.0), False, False),
        ((NAN, NAN, NAN), False, False),
        ((NAN, 2.0, 1.0), False, False),
        ((2.0, NAN, 1.0), False, True),
        ((INF, 1.0, 1.0), False, False),
    ],
)
def test_the_first_of_three_is_the_best_or_among_the_best_two(scores, first, second):
    right = torch.tensor([0])
    found = [among_best(torch.tensor([scores]), right, k).tolist() for k in (1, 2)]
    assert found == [[first], [second]]


def test_an_image_without_a_label_is_never_right():
    assert among_best(torch.tensor([[3.0, 2.0]]), torch.tensor([-1]), 5).tolist() == [False]
