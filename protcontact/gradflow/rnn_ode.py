"""Which differential equation is a recurrent network a solver of?

    h_{t+1} = RNN(h_t, x_t) = h_t + dt f(h_t, x_t),  dt = 1      f(h, x) = RNN(h, x) - h

An RNN is Euler's method, with a step of one residue, for ``dh/dt = RNN(h, x) - h``, whose input is
constant for the time of a residue (Haber and Ruthotto 2017; Chen et al. 2018). For `torch.nn.RNN`
it is ``dh/dt = -h + tanh(W x + U h + b)``, the leaky integration of a neuron.
"""

from functools import partial
from typing import NamedTuple

from torch import Tensor, nn

from protcontact.gradflow.ode import ErrorFlow, Step, advance, error_flow, euler, rk4
from protcontact.gradflow.systems import Map, follow, recurrent, recurrent_step

FINE = 16  # steps of RK4 to a residue, for the solution, and 2 at least to a step of Euler's


class RecurrentEquation(NamedTuple):
    """The equation of a recurrent layer that reads a sequence.

    Attributes:
        module: As for `systems.recurrent`.
        x: ``(T, C)``, what it reads.
        start: ``(H,)``, the state at time 0.
    """

    module: nn.RNNBase
    x: Tensor
    start: Tensor

    def steps(self, step: Step, parts: int = 1) -> list[Map]:
        """A solver with `parts` steps to a residue: ``T * parts`` maps. Euler's, 1: the module."""
        maps = recurrent(self.module, self.x)
        return [
            partial(advance, step, partial(_rate, each), 1 / parts)
            for each in maps
            for _ in range(parts)
        ]

    def solution(self, parts: int = 1) -> Tensor:
        """``(T * parts + 1, H)``, by RK4 with shorter steps."""
        fine = max(FINE // parts, 2)
        return follow(self.steps(rk4, fine * parts), self.start)[::fine]

    def euler_errors(self, solution: Tensor, parts: int = 1) -> ErrorFlow:
        """Those of Euler's method with `parts` steps to a residue.

        Args:
            solution: ``(T * parts + 1, H)``.
            parts: Of a residue. With one, it is the module whose errors these are.
        """
        each = recurrent_step(self.module, self.x.repeat_interleave(parts, dim=0))
        together = partial(advance, euler, partial(_rate, each), 1 / parts)
        return error_flow(together, follow(self.steps(euler, parts), self.start), solution)


def _rate(step: Map, h: Tensor) -> Tensor:
    return step(h) - h
