"""Tests of the memory that a loader's processes fill again and again."""

import torch

from datamodules.clips.ring import SPARE, Ring


def test_a_place_is_free_when_no_tensor_has_its_memory() -> None:
    ring = Ring(2, 3, 5)
    placed, memory = ring.take(1, 2) or (None, torch.empty(0))
    assert placed is not None
    memory[:] = torch.arange(10).view(2, 5)
    whole = ring.batch(placed)
    assert torch.equal(whole, torch.arange(10.0).view(2, 5))
    part, array = whole[1:], whole.numpy()
    del whole
    others = [ring.take(1, 3) for _ in range(SPARE)]
    assert [other is None for other in others] == [False] * (SPARE - 1) + [True]
    assert torch.equal(part, torch.arange(5.0, 10.0)[None])
    del part
    assert ring.take(1, 3) is None  # the array still has it
    assert array[0, 1] == 1
    del array
    assert (ring.take(1, 3) or others)[0] == type(placed)(placed.place, 3)


def test_processes_have_places_of_their_own_for_batches_that_fit() -> None:
    ring = Ring(2, 3, 5)
    taken = [[found[0].place for _ in range(SPARE) if (found := ring.take(worker, 3))] for worker in (0, 1)]
    assert taken == [list(range(SPARE)), list(range(SPARE, 2 * SPARE))]
    assert Ring(1, 3, 5).take(0, 4) is None
