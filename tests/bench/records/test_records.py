import hashlib
import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import RecordError
from bench.records import Latency, Recipe, Record, Run, canonical

RECIPE = Recipe(epochs=3)
RUN = Run(model="cnn", frontend="logmel", dataset="esc10", fold=1, recipe=RECIPE, arguments={"channels": [8, 16]})


def test_key_reads_as_a_sentence_and_names_every_field():
    assert RUN.key.startswith("esc10-logmel-cnn-f1-s0-")
    assert len(RUN.key.rsplit("-", 1)[1]) == 8
    changes = [
        {"recipe": Recipe(epochs=4)},
        {"arguments": {"channels": [8, 17]}},
        {"data": {"clip_seconds": 2.0}},
        {"protocol": 2},
        {"seed": 1},
        {"fold": 2},
    ]
    keys = {replace(RUN, **change).key for change in changes} | {RUN.key}
    assert len(keys) == len(changes) + 1


def test_key_does_not_depend_on_the_order_of_arguments():
    assert replace(RUN, arguments={"a": 1, "b": 2}).key == replace(RUN, arguments={"b": 2, "a": 1}).key


def test_the_digest_is_of_what_differs_from_the_defaults():
    content = (
        '{"arguments":{"channels":[8,16]},"data":{},"dataset":"esc10","fold":1,"frontend":"logmel","model":"cnn",'
        '"protocol":1,"recipe":{"epochs":3},"seed":0}'
    )
    assert RUN.key == f"esc10-logmel-cnn-f1-s0-{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def test_a_run_needs_its_members_or_its_teacher():
    assert RUN.needs == ()
    assert replace(RUN, arguments={"members": ["a", "b"]}).needs == ("a", "b")
    assert replace(RUN, recipe=Recipe(teacher="a")).needs == ("a",)


@pytest.mark.parametrize("wrong", [{"teacher_temperature": 0.0}, {"teacher_weight": -0.1}, {"teacher_weight": 1.1}])
def test_a_teacher_cannot_teach_so(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be "):
        Recipe(**wrong)


def test_a_recipe_field_at_its_default_does_not_change_the_key():
    assert replace(RUN, recipe=Recipe(epochs=3, mixup=0.0)).key == RUN.key


@pytest.mark.slow
@given(
    scores=st.dictionaries(st.text(min_size=1), st.none() | st.floats(allow_nan=False, allow_infinity=False)),
    curve=st.lists(st.floats(allow_nan=False, allow_infinity=False)),
    name=st.text(),
)
def test_a_record_survives_the_file(scores, curve, name):
    record = Record(run=RUN, status="ok", scores=scores, curves={"val_loss": tuple(curve)}, classes=(name,))
    assert Record.from_json(record.to_json(), RUN.key) == record


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_record_is_never_written_with_a_number_that_is_not_finite(value):
    with pytest.raises(RecordError, match="not finite"):
        Record(run=RUN, status="ok", scores={"accuracy": value}).to_json()


def edited(change):
    content = json.loads(Record(run=RUN, status="ok", scores={"accuracy": 0.5}).to_json())
    change(content)
    return json.dumps(content)


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("{", RUN.key, "not JSON"),
        ("[]", RUN.key, "schema None"),
        ('{"schema": 1, "scores": {"accuracy": NaN}}', RUN.key, "not finite"),
        (edited(lambda c: c["scores"].update(accuracy=0.9)), RUN.key, "edited or damaged"),
        (edited(lambda c: c.update(schema=0)), RUN.key, "schema 0"),
        (edited(lambda c: None), "another-key", "holds the run"),
    ],
)
def test_a_damaged_record_is_refused_by_name(text, name, words):
    with pytest.raises(RecordError, match=words) as caught:
        Record.from_json(text, name)
    assert name in str(caught.value)


def test_a_run_with_a_moving_average_has_another_key_than_before():
    plain, averaged = (replace(RUN, recipe=Recipe(ema_decay=decay)) for decay in (None, 0.98))
    content = asdict(averaged) | {"recipe": averaged.recipe_differences}
    before = hashlib.sha256(canonical(content).encode()).hexdigest()[:8]
    assert plain.key != averaged.key
    assert not averaged.key.endswith(before)
    with pytest.raises(RecordError, match="averages weights only"):
        Record.from_json(Record(run=averaged, status="ok").to_json(), averaged.key[:-8] + before)


TIMING = Latency(
    device="x", device_type="cpu", threads=1, clip_seconds=1.0, p50_ms=1.0, p90_ms=2.0, iqr_share=0.1, samples=50,
    throughput=1000.0, real_time_factor=0.001, load=0.0, sentinel_drift=0.0, grade="A",
)  # fmt: skip


def test_timings_can_be_replaced():
    record = Record(run=RUN, status="ok").with_latencies((TIMING,))
    assert record.latencies == (TIMING,)
    assert Record.from_json(record.to_json(), RUN.key).latencies == (TIMING,)


def test_a_record_from_before_teachers_and_combined_latencies_is_read():
    content = json.loads(Record(run=RUN, status="ok", latencies=(TIMING,)).to_json())
    del content["digest"], content["latencies"][0]["combined"]
    for name in ("teacher", "teacher_temperature", "teacher_weight"):
        del content["run"]["recipe"][name]
    content["digest"] = hashlib.sha256(canonical(content).encode()).hexdigest()
    record = Record.from_json(json.dumps(content), RUN.key)
    assert record == Record(run=RUN, status="ok", latencies=(TIMING,))


def test_a_timing_names_the_kernels_of_the_front_end_where_there_were_any():
    plain = Record(run=RUN, status="ok", latencies=(TIMING,))
    assert "frontend" not in json.loads(plain.to_json())["latencies"][0]  # the bytes of older records stay
    kernel = Record(run=RUN, status="ok", latencies=(replace(TIMING, frontend="numba 1"),))
    assert json.loads(kernel.to_json())["latencies"][0]["frontend"] == "numba 1"
    assert Record.from_json(kernel.to_json(), RUN.key) == kernel
