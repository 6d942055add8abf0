"""What happens beside the training step."""

from protcontact.training.callbacks.gradient_flow import GradientFlow

__all__ = ["GradientFlow"]
