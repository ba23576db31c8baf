"""Latencies of a board's rows: which one is shown, and what is said of it."""

from dataclasses import replace

from fakes.boards import boards, csv_rows, fused, record, run, timing

from bench.leaderboard import render


def test_a_fusion_shows_the_sum_of_its_members_latencies_and_tells_what_they_take_side_by_side():
    both = (timing(30.0, combined="sum"), timing(20.0, "B", combined="parallel"))
    *members, fusion = fused(0)
    found = boards(*members, replace(fusion, latencies=both))
    row = found[0].rows[0]
    assert (row.cpu, row.cpu_parallel) == both
    text = render.markdown("t", found, "c")
    assert "| 30.0 / 60.0 (A) |" in text
    assert (
        "CPU ms is the sum over its members, on the fold with the middle sum; "
        "with the members in parallel: 20.0 / 40.0 (B)" in text
    )
    line = next(line for line in csv_rows(found) if line["model"] == "fusion-ds")
    assert (line["cpu_p50_ms"], line["cpu_parallel_p50_ms"], line["gpu_parallel_p50_ms"]) == ("30", "20", "")


def test_latency_is_the_middle_one_that_is_ranked_at_the_fewest_threads():
    noisy, four = timing(1.0, "C"), timing(2.0, threads=4)
    part = timing(0.1, scope="model")
    gpu = timing(0.5, device_type="cuda", device="GPU")
    cells = [record(run(fold=f), latencies=(timing(10.0 + f, "AB"[f % 2]), noisy, four, part, gpu)) for f in range(5)]
    row = boards(*cells)[0].rows[0]
    assert row.cpu == timing(12.0)
    assert row.gpu == gpu


def test_of_two_latencies_the_slower_is_shown():
    (board,) = boards(record(run(fold=0), latencies=(timing(10.0),)), record(run(fold=1), latencies=(timing(11.0),)))
    assert board.rows[0].cpu == timing(11.0)


def test_what_was_timed_on_a_slower_machine_says_so():
    fast, slow, unsure = timing(sentinel_ms=0.2), timing(sentinel_ms=0.3), timing(sentinel_drift=-0.2, sentinel_ms=0.2)
    found = boards(*(record(run(m), latencies=(t,)) for m, t in (("cnn", fast), ("fc", slow), ("ltc", unsure))))
    assert {row.label: row.cpu.grade for row in found[0].rows} == {"cnn": "A", "fc": "C", "ltc": "B"}
    text = render.markdown("t", found, "c")
    assert "- **ltc on logmel**: the machine's speed changed by more than 5 % while CPU ms was measured" in text
    early = render.markdown("t", boards(record(run(), latencies=(timing(),))), "c")
    assert "measured before reference timings were recorded" in early
    assert "measured before reference timings were recorded" not in text


def test_only_single_clips_in_eager_are_shown():
    others = (timing(1.0, backend="onnxruntime"), timing(1.5, batch=8), timing(0.1, scope="step"))
    (board,) = boards(record(run(), latencies=(*others, timing(9.0))), record(run("fc"), latencies=others))
    assert {row.label: row.cpu for row in board.rows} == {"cnn": timing(9.0), "fc": None}


def test_latencies_of_another_device_are_flagged():
    cells = [record(run(m)) for m in ("fc", "ltc")] + [record(run(), latencies=(timing(device="Old"),))]
    (board,) = boards(*cells)
    flags = {row.label: row.flags for row in board.rows}
    assert flags["fc"] == flags["ltc"] == ()
    assert flags["cnn"] == ("CPU latency on Old, 1 thread, float32, eager, clips of 5 s",)


def test_grade_c_is_marked_and_greyed():
    found = boards(record(run(), latencies=(timing(1.234, "C"),)))
    assert "| 1.23 / 2.47 (C) |" in render.markdown("t", found, "c")
    assert '<td class="grey long" data-number="1.234">1.23 / 2.47 (C)</td>' in render.html("t", found, "c")
