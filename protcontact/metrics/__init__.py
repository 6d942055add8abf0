"""Scores of predicted contact maps: one definition, pure functions, thin accumulators.

Contract: scores ``(L, L)`` of any scale (only their order counts), labels contact / no contact /
unknown; unknown pairs never enter; a data set's score is the mean over chains.
"""
