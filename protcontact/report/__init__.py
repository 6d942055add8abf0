"""What a person gets to see of trained models: predictions, tables, pictures, files for viewers.

Contract: measuring, storing and drawing are apart; every file is written atomically; a long job
goes on when one input fails and accounts for every input.
"""
