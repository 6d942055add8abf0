"""Which probes go together?"""

from protcontact.gradflow.dead import DeadUnits
from protcontact.gradflow.norms import GradientNorms
from protcontact.gradflow.optimizer import UpdateSize
from protcontact.gradflow.probe import StepProbe
from protcontact.gradflow.ranks import RankAgreement
from protcontact.gradflow.recurrence import Recurrence
from protcontact.gradflow.taps import Costates, IdentityShare


def light() -> list[StepProbe]:
    """What can be measured at every step: the gradients that are there anyway."""
    return [GradientNorms()]


def full() -> list[StepProbe]:
    """Everything that any model has, and that does not run the model once more."""
    return [
        GradientNorms(detail=True),
        UpdateSize(),
        DeadUnits(),
        Costates(),
        IdentityShare(),
        Recurrence(),
        RankAgreement(),
    ]
