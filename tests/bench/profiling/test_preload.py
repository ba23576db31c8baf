"""Tests of the kernels that the fork server loads for all timed processes."""

import pytest

from bench.profiling import measure


@pytest.mark.parametrize("compiled_before", [True, False])
def test_kernels_are_loaded_for_all_timed_processes_if_they_were_compiled_before(
    compiled_before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    caching = pytest.importorskip("numba.core.caching")
    loaded = []
    monkeypatch.setattr(caching.IndexDataCacheFile, "_load_index", lambda self: {"a": 1} if compiled_before else {})
    monkeypatch.setattr(measure, "load_kernels", lambda model, x: loaded.append(type(model).__name__))
    measure.preload_kernels()
    assert loaded == (["LogMel"] if compiled_before else [])
