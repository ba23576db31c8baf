"""Systems: which runs are one system, and what it is called."""

import pytest
from fakes.boards import boards, everything, fused, record, run

from bench.records import Recipe


def test_labels_tell_systems_of_one_name_apart_by_what_differs():
    small = record(run("ltc", arguments={"units": 32, "depth": 2}), 0.5)
    large = record(run("ltc", arguments={"units": 64, "depth": 2}), 0.6)
    long = record(run("ltc", arguments={"units": 64, "depth": 2}, recipe=Recipe(epochs=99)), 0.7)
    (board,) = boards(small, large, long, record(run("cnn", arguments={"width": 2}), 0.4))
    assert [row.label for row in board.rows] == [
        "ltc (depth=2, units=64, epochs=99)",
        "ltc (depth=2, units=64)",
        "ltc (depth=2, units=32)",
        "cnn (width=2)",
    ]


def test_one_model_on_two_front_ends_is_two_rows():
    (board,) = boards(record(run(), 0.5), record(run(frontend="mfcc"), 0.6))
    assert [(row.label, row.frontend, row.rank) for row in board.rows] == [("cnn", "mfcc", 1), ("cnn", "logmel", 2)]


def test_a_fusion_is_one_system_over_its_folds_and_never_shows_keys():
    found = boards(*fused(0), *fused(1))
    row = found[0].rows[0]
    assert (row.label, row.rank, row.done, row.expected) == ("fusion-ds", 1, 2, 2)
    assert row.members == ("cnn on logmel", "ltc (units=8) on logmel")
    assert row.conflict == pytest.approx(0.3)
    for text in everything(found)[:2]:
        assert "-f0-s0-" not in text


def test_two_fusions_of_one_method_are_told_apart_by_their_members():
    members = [run(m) for m in ("cnn", "ltc", "fc")]
    pair = run("fusion-ds", frontend="none", arguments={"members": [m.key for m in members[:2]]})
    three = run("fusion-ds", frontend="none", arguments={"members": [m.key for m in members]})
    (board,) = boards(*map(record, members), record(pair, 0.95), record(three, 0.9))
    assert [row.label for row in board.rows[:2]] == [
        "fusion-ds (of cnn + ltc)",
        "fusion-ds (of cnn + ltc + fc)",
    ]


def test_members_on_several_front_ends_are_named_with_theirs():
    members = [run(), run(frontend="mfcc"), run("fc")]
    pair = run("fusion-ds", frontend="none", arguments={"members": [m.key for m in members[:2]]})
    other = run("fusion-ds", frontend="none", arguments={"members": [m.key for m in members[1:]]})
    (board,) = boards(*map(record, members), record(pair, 0.95), record(other, 0.9))
    assert [row.label for row in board.rows[:2]] == [
        "fusion-ds (of cnn on logmel + cnn on mfcc)",
        "fusion-ds (of cnn on mfcc + fc)",
    ]


def test_a_member_or_a_teacher_outside_the_suite_is_called_by_its_key():
    key = run().key
    (board,) = boards(
        record(run("fusion-ds", frontend="none", arguments={"members": [key, run("fc").key]})),
        record(run("fc")),
        record(run("swishnet", recipe=Recipe(teacher=key)), 0.9),
    )
    assert [row.label for row in board.rows] == [f"swishnet (teacher={key})", "fc", "fusion-ds"]
    assert board.rows[2].members == (key, "fc on logmel")


def test_a_student_is_one_system_over_its_folds_and_names_its_teacher():
    def cell(fold, **recipe):
        return record(run("swishnet", fold, recipe=Recipe(**recipe)))

    teachers = [record(run("cnn", fold), 0.9) for fold in (0, 1)]
    alone = [cell(fold) for fold in (0, 1)]
    taught = [cell(fold, teacher=t.key, teacher_temperature=4.0) for fold, t in enumerate(teachers)]
    (board,) = boards(*teachers, *alone, *taught)
    assert [(row.label, row.done) for row in board.rows] == [("cnn", 2), ("swishnet", 2), ("swishnet (teacher=cnn)", 2)]
    cold = [cell(fold, teacher=t.key, teacher_temperature=1.0) for fold, t in enumerate(teachers)]
    (board,) = boards(*teachers, *alone, *taught, *cold)
    assert [row.label for row in board.rows][2:] == [
        "swishnet (teacher=cnn, teacher_temperature=1.0)",
        "swishnet (teacher=cnn, teacher_temperature=4.0)",
    ]
    for text in everything((board,))[:2]:
        assert "-f0-s0-" not in text
