"""How does the learning rate go over a training?"""

import math
from collections.abc import Callable


def warmup_cosine(warmup: int, total: float, final: float) -> Callable[[int], float]:
    """Factor on the learning rate: linear from 0 to 1, then a half cosine to `final`.

    A function and not an object: torch keeps the state of objects in checkpoints, and a run that is
    resumed with more steps would get the end of the old schedule.

    Args:
        warmup: Steps of the rise.
        total: Steps of the whole training; infinite keeps 1 after the rise.
        final: Factor at the last step.

    Returns:
        Step, counting from 0 -> factor.
    """

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if math.isinf(total):
            return 1.0
        done = min(1.0, (step - warmup) / max(1.0, total - warmup))
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * done))

    return factor
