"""Comparison of numbers whose float32 sums are added in another order by another processor, or in another batch."""

from torch import Tensor


def assert_close_at_scale(found: Tensor, expected: Tensor, share: float) -> None:
    """Compare with a tolerance that is a share of the greatest expected number.

    A sum of float32 is rounded by a share of its terms, not of itself: where terms cancel, a tolerance relative to each
    number is met on one processor and missed on the next.

    Args:
        found: any shape and float type.
        expected: of the same shape.
        share: of the greatest absolute value of `expected`.
    """
    __tracebackhide__ = True
    assert found.shape == expected.shape
    largest = expected.double().abs().max().item()
    error = (found.double() - expected.double()).abs().max().item()
    assert error <= share * largest, f"differs by {error:.3g}, {error / largest:.3g} of the greatest, {largest:.3g}"
