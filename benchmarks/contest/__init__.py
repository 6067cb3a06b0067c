"""The contest of benchmarks/peers.py: what is trained (tasks), by whom (*_trainer), how it is timed."""
