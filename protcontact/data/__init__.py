"""Structure files to data sets, and data sets to batches.

Contract: a data set is a folder of Parquet shards with O(L) numbers per chain, a manifest and an
account of every rejected input; it is written atomically and never changed afterwards. Splits lie
beside the shards. Sampling is deterministic under a seed and takes the same number of steps on
every rank.
"""
