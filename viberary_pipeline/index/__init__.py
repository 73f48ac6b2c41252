"""The index in Redis: its contract, how it is built and gated, published, rolled back and removed."""
