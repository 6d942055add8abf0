"""Where does the gradient go? Pure functions on a model and what backpropagation left in it.

A gradient norm is the Euclidean norm of all elements of a set of parameters, in float32 or wider,
after unscaling and averaging over ranks: what the optimizer is about to use. Nothing here knows of
Lightning, changes a gradient, or makes the device wait, except where a docstring says so.
"""

from protcontact.gradflow.depth import depth_curve
from protcontact.gradflow.gates import gate_report
from protcontact.gradflow.long_memory import long_memory
from protcontact.gradflow.memory import memory_curve

__all__ = ["depth_curve", "gate_report", "long_memory", "memory_curve"]
