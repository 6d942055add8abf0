"""Lightning modules, callbacks and checkpoints: everything that runs inside a `Trainer`.

Contract: the module computes, callbacks watch; a checkpoint describes the model that it holds and
is read with ``weights_only=True`` only.
"""
