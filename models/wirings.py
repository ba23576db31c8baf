"""Wirings of liquid networks: which neurons have synapses to which, and of which polarity.

Neural circuit policies: Lechner, Hasani et al. 2020 (Nature Machine Intelligence 2, doi:10.1038/s42256-020-00237-3).
The matrices equal those of the authors' package ncps 1.0.1 for the same seed, so the order of the random draws matters.
One difference: building again for the same input size changes nothing (ncps draws FullyConnected again).

Shape letters: **I** inputs (sensory neurons), **U** units (neurons).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.base import ModelError

Matrix = NDArray[np.int32]


class Wiring(ABC):
    """Synapses between neurons, and from inputs to neurons.

    Args:
        units: U, the number of neurons.
        output_dim: the number of motor neurons: the first ones.

    Attributes:
        adjacency_matrix: polarity (-1, 0 for none, +1) of the synapse from row to column `(U, U)`.
        sensory_adjacency_matrix: the same from inputs to neurons `(I, U)`; None before `build`.
        input_dim: I; None before `build`.
    """

    def __init__(self, units: int, output_dim: int) -> None:
        if not 1 <= output_dim <= units:
            raise ModelError(f"a wiring needs 1 ≤ output_dim ≤ units, got {output_dim} and {units}")
        self.units = units
        self.output_dim = output_dim
        self.input_dim: int | None = None
        self.adjacency_matrix: Matrix = np.zeros((units, units), dtype=np.int32)
        self.sensory_adjacency_matrix: Matrix | None = None

    def build(self, input_dim: int) -> Matrix:
        """Draw the synapses that depend on the number of inputs, once, and return the sensory matrix `(I, U)`.

        Raises:
            ModelError: the wiring was built for another number of inputs.
        """
        if self.sensory_adjacency_matrix is None:
            self.input_dim = input_dim
            self.sensory_adjacency_matrix = np.zeros((input_dim, self.units), dtype=np.int32)
            self.connect(self.sensory_adjacency_matrix)
        elif self.input_dim != input_dim:
            raise ModelError(
                f"this wiring was built for {self.input_dim} inputs, not {input_dim}: each layer needs its own wiring"
            )
        return self.sensory_adjacency_matrix

    @property
    def layers(self) -> list[list[int]]:
        """Neurons of each layer, from those that the inputs feed to the motor neurons."""
        return [list(range(self.units))]

    @abstractmethod
    def connect(self, sensory: Matrix) -> None:
        """Fill `sensory (I, U)`, and whatever of `adjacency_matrix` is drawn only then."""


class FullyConnected(Wiring):
    """Every neuron and every input feeds every neuron; two synapses of three are excitatory.

    Args:
        units: U.
        output_dim: number of motor neurons; all of them where None.
        erev_init_seed: seed of the polarities.
        self_connections: whether a neuron feeds itself.
    """

    def __init__(
        self, units: int, output_dim: int | None = None, erev_init_seed: int = 1111, self_connections: bool = True
    ) -> None:
        super().__init__(units, units if output_dim is None else output_dim)
        self._rng = np.random.default_rng(erev_init_seed)
        for source in range(units):
            for target in range(units):
                if source != target or self_connections:
                    self.adjacency_matrix[source, target] = self._rng.choice([-1, 1, 1])

    def connect(self, sensory: Matrix) -> None:
        """Connect every input with every neuron."""
        for synapse in np.ndindex(sensory.shape):
            sensory[synapse] = self._rng.choice([-1, 1, 1])


class NCP(Wiring):
    """Neural circuit policy: inputs → inter neurons → command neurons (recurrent) → motor neurons.

    Neurons are numbered motor first, then command, then inter. Polarities are even odds.

    Args:
        inter_neurons: number of inter neurons.
        command_neurons: number of command neurons.
        motor_neurons: number of motor neurons, the outputs.
        sensory_fanout: inter neurons that each input feeds.
        inter_fanout: command neurons that each inter neuron feeds.
        recurrent_command_synapses: synapses drawn between command neurons; several draws can give the same pair.
        motor_fanin: command neurons that feed each motor neuron.
        seed: of the draws.
    """

    def __init__(
        self,
        inter_neurons: int,
        command_neurons: int,
        motor_neurons: int,
        sensory_fanout: int,
        inter_fanout: int,
        recurrent_command_synapses: int,
        motor_fanin: int,
        seed: int = 22222,
    ) -> None:
        for name, synapses, kind, neurons in (
            ("motor_fanin", motor_fanin, "command", command_neurons),
            ("sensory_fanout", sensory_fanout, "inter", inter_neurons),
            ("inter_fanout", inter_fanout, "command", command_neurons),
        ):
            if synapses > neurons:
                raise ModelError(f"{name} is {synapses}, but there are only {neurons} {kind} neurons")
        super().__init__(inter_neurons + command_neurons + motor_neurons, motor_neurons)
        self._rng = np.random.RandomState(seed)
        self._motor = list(range(motor_neurons))
        self._command = list(range(motor_neurons, motor_neurons + command_neurons))
        self._inter = list(range(motor_neurons + command_neurons, self.units))
        self._sensory_fanout = sensory_fanout
        self._inter_fanout = inter_fanout
        self._recurrent = recurrent_command_synapses
        self._motor_fanin = motor_fanin

    def connect(self, sensory: Matrix) -> None:
        """Connect layer by layer, then connect the neurons that the draws missed."""
        internal = self.adjacency_matrix
        inputs = list(range(len(sensory)))
        spare = self._fan_out(sensory, inputs, self._inter, self._sensory_fanout)
        mean_fanin = len(inputs) * self._sensory_fanout // len(self._inter)
        self._feed(sensory, inputs, spare, min(max(mean_fanin, 1), len(inputs)))

        spare = self._fan_out(internal, self._inter, self._command, self._inter_fanout)
        mean_fanin = len(self._inter) * self._inter_fanout // len(self._command)
        self._feed(internal, self._inter, spare, min(max(mean_fanin, 1), len(self._command)))  # bound as in ncps

        for _ in range(self._recurrent):
            source, target = self._rng.choice(self._command), self._rng.choice(self._command)
            internal[source, target] = self._polarity()

        self._feed(internal, self._command, self._motor, self._motor_fanin)
        spare = [command for command in self._command if not internal[command, self._motor].any()]
        mean_fanout = len(self._motor) * self._motor_fanin // len(self._command)
        self._fan_out(internal, spare, self._motor, min(max(mean_fanout, 1), len(self._motor)))

    @property
    def layers(self) -> list[list[int]]:
        """Inter, command and motor neurons."""
        return [self._inter, self._command, self._motor]

    def _fan_out(self, matrix: Matrix, sources: Sequence[int], targets: Sequence[int], number: int) -> list[int]:
        """Connect each source with `number` targets; return the targets that none reached."""
        for source in sources:
            for target in self._rng.choice(targets, size=number, replace=False):
                matrix[source, target] = self._polarity()
        return [target for target in targets if not matrix[:, target].any()]

    def _feed(self, matrix: Matrix, sources: Sequence[int], targets: Sequence[int], number: int) -> None:
        """Connect each target with `number` sources."""
        for target in targets:
            for source in self._rng.choice(sources, size=number, replace=False):
                matrix[source, target] = self._polarity()

    def _polarity(self) -> int:
        return int(self._rng.choice([-1, 1]))


class AutoNCP(NCP):
    """An NCP sized from its number of units: 0.4 of the neurons other than motor neurons are command neurons.

    Args:
        units: U.
        output_size: number of motor neurons, below U - 2.
        sparsity_level: share of absent synapses between layers, 0.1 (dense) to 1.
        seed: of the draws.
    """

    def __init__(self, units: int, output_size: int, sparsity_level: float = 0.5, seed: int = 22222) -> None:
        if output_size >= units - 2:
            raise ModelError(f"{units} units hold at most {units - 3} motor neurons, not {output_size}")
        if not 0.1 <= sparsity_level <= 1:
            raise ModelError(f"sparsity_level must lie in 0.1 to 1, got {sparsity_level}")
        density = 1.0 - sparsity_level
        command = max(int(0.4 * (units - output_size)), 1)
        inter = units - output_size - command
        super().__init__(
            inter_neurons=inter,
            command_neurons=command,
            motor_neurons=output_size,
            sensory_fanout=max(int(inter * density), 1),
            inter_fanout=max(int(command * density), 1),
            recurrent_command_synapses=max(int(command * density * 2), 1),
            motor_fanin=max(int(command * density), 1),
            seed=seed,
        )


class Wires:
    """The synapses of a mask, ordered by target.

    Args:
        mask: from sources to targets `(S, U)`, nonzero where there is a synapse.

    Attributes:
        sources: S.
        units: U.
        source: of each synapse `(K)`.
        target: of each synapse `(K)`.
        place: of each synapse in the flattened mask `(K)`.
        start: first slot of each target `(U + 1)`, where each has an even number of them.
        slot: of each synapse `(K)`.
    """

    def __init__(self, mask: NDArray[np.float32]) -> None:
        self.sources, self.units = mask.shape
        self.target, self.source = mask.T.nonzero()
        self.place = self.source * self.units + self.target
        counts = np.bincount(self.target, minlength=self.units)
        before, slots_before = (np.concatenate([[0], each.cumsum()]) for each in (counts, counts + counts % 2))
        self.start = slots_before.astype(np.uint32)
        self.slot = np.arange(len(self.target)) + (slots_before - before)[self.target]
