"""The index in Redis: how it is built and gated, published, rolled back and removed."""
