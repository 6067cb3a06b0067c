"""The comparison of benchmarks/peers.py: the networks and data (tasks), the libraries (*_trainer), the timing."""
