"""Names in the catalogue."""

import pytest

from bench import catalog
from bench.errors import SuiteError
from bench.suites.messages import near


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CNN14", "cnn14"),
        ("CNN_14", "cnn14"),
        ("Resnet-22", "resnet22"),
        ("mobilenet_v1", "mobilenet-v1"),
        ("LSTMSkip", "lstm-skip"),
        ("swishnt", "swishnet"),
        ("quaternion", None),
    ],
)
def test_the_nearest_name_is_found_whatever_its_case_and_hyphens(name: str, expected: str | None) -> None:
    assert catalog.nearest(name, catalog.MODELS) == expected
    with pytest.raises(SuiteError) as raised:
        catalog.model(name)
    assert (f"Did you mean {expected!r}?" in str(raised.value)) is (expected is not None)


def test_the_keys_of_a_suite_are_proposed_by_the_same_rule() -> None:
    assert near("Batch-Size", ["batch_size", "epochs"]) == "; did you mean 'batch_size'?"
    assert near("zzz", ["batch_size", "epochs"]) == "; known are batch_size, epochs"


def test_of_two_names_that_differ_in_hyphens_alone_the_first_is_proposed() -> None:
    assert catalog.nearest("ab", ["a-b", "a_b"]) == "a-b"
