"""Saving and restoring the state of modules that their state dict lacks: generators of every kind, and buffers."""

import io
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bench.training import module_state

GENERATORS: dict[str, tuple[Any, Any]] = {
    "torch": (torch.Generator, lambda g: torch.rand(3, generator=g).tolist()),
    "python": (lambda: random.Random(1), lambda g: [g.random(), g.gauss(0, 1)]),
    "RandomState": (lambda: np.random.RandomState(1), lambda g: [g.rand(), g.randn()]),
    "PCG64": (lambda: np.random.default_rng(1), lambda g: g.random(3).tolist()),
    "MT19937": (lambda: np.random.Generator(np.random.MT19937(1)), lambda g: g.random(3).tolist()),
    "Philox": (lambda: np.random.Generator(np.random.Philox(1)), lambda g: g.random(3).tolist()),
    "SFC64": (lambda: np.random.Generator(np.random.SFC64(1)), lambda g: g.random(3).tolist()),
    "bits": (lambda: np.random.PCG64(1), lambda g: g.random_raw(3).tolist()),
}


class Outer(nn.Module):
    """A module inside has the generator."""

    def __init__(self, generator: Any) -> None:
        super().__init__()
        self.inner = nn.Module()
        self.inner.generator = generator
        self.seed = random.SystemRandom()  # has no state
        self.register_buffer("seen", torch.zeros(2), persistent=False)
        self.register_buffer("nothing", None, persistent=False)


def through_a_file(content: Any) -> Any:
    """Return content as a checkpoint gives it."""
    file = io.BytesIO()
    torch.save(content, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("kind", GENERATORS)
def test_a_generator_goes_on_where_it_was(kind: str) -> None:
    make, draw = GENERATORS[kind]
    module = Outer(make())
    draw(module.inner.generator)
    saved = through_a_file(module_state.state(module))
    expected = [draw(module.inner.generator) for _ in range(3)]
    other = Outer(make())
    assert module_state.restore(other, saved) == []
    assert [draw(other.inner.generator) for _ in range(3)] == expected


def test_generators_in_containers_are_found_also_where_one_has_itself() -> None:
    def make() -> Outer:
        module = Outer(None)
        module.kept = [{"first": torch.Generator().manual_seed(4)}, (random.Random(5),)]
        module.kept.append(module.kept)
        return module

    module = make()
    torch.rand(7, generator=module.kept[0]["first"])
    module.kept[1][0].random()
    saved = through_a_file(module_state.state(module))
    assert sorted(saved["generators"]) == ["kept[0]['first']", "kept[1][0]"]
    other = make()
    assert module_state.restore(other, saved) == []
    assert torch.equal(
        torch.rand(3, generator=other.kept[0]["first"]), torch.rand(3, generator=module.kept[0]["first"])
    )
    assert other.kept[1][0].random() == module.kept[1][0].random()


def test_buffers_that_no_state_dict_has_are_restored_in_place_and_in_other_shapes() -> None:
    module, other = Outer(None), Outer(None)
    alias = other.seen
    module.seen += 3
    module_state.restore(other, through_a_file(module_state.state(module)))
    assert alias.tolist() == [3, 3]
    module.seen = torch.arange(5.0)
    module_state.restore(other, through_a_file(module_state.state(module)))
    assert other.seen.tolist() == [0, 1, 2, 3, 4]


def test_a_constant_that_is_a_view_is_left_alone() -> None:
    module = Outer(None)
    module.seen = torch.ones(1).expand(4)  # cannot be written
    assert module_state.restore(module, module_state.state(module)) == []


def test_what_a_module_does_not_have_is_named() -> None:
    saved = module_state.state(Outer(torch.Generator()))
    assert module_state.restore(nn.Module(), saved) == ["inner.generator", "nothing", "seen"]


def test_a_buffer_may_become_none_and_stop_being_it() -> None:
    module, other = Outer(None), Outer(None)
    module.seen, module.nothing = None, torch.ones(3)
    assert module_state.restore(other, through_a_file(module_state.state(module))) == []
    assert other.seen is None
    assert other.nothing.tolist() == [1, 1, 1]


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr])
def test_a_sparse_buffer_is_restored(layout: torch.layout) -> None:
    module, other = Outer(None), Outer(None)
    module.seen, other.seen = (torch.eye(2).mul(n).to_sparse(layout=layout) for n in (3, 1))
    module_state.restore(other, through_a_file(module_state.state(module)))
    assert other.seen.to_dense().tolist() == [[3, 0], [0, 3]]


def test_what_numpy_spawns_after_a_continuation_differs_from_what_it_spawned_before() -> None:
    module, other = Outer(np.random.default_rng(1)), Outer(np.random.default_rng(1))
    module.inner.generator.spawn(2)
    module_state.restore(other, through_a_file(module_state.state(module)))
    assert other.inner.generator.spawn(1)[0].random() == module.inner.generator.spawn(1)[0].random()


def test_containers_that_are_shared_or_deep_are_looked_at_once() -> None:
    module = Outer(None)
    module.shared = deep = [torch.Generator()]
    for _ in range(5_000):  # would be 2^5000 places, or too deep for a recursion
        deep = [deep, deep]
    module.deep = deep
    assert len(module_state.state(module)["generators"]) == 1


def test_a_buffer_that_a_training_has_created_is_loaded() -> None:
    class Late(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", None)

    module, other = Late(), Late()
    module.mean = torch.ones(2)
    module_state.fit_buffers(other, module.state_dict())
    other.load_state_dict(module.state_dict())
    assert other.mean.tolist() == [1, 1]
