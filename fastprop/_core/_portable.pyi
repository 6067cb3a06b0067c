"""The portable kernels. They reach Python through ``_engine.kernel_addresses`` only."""
