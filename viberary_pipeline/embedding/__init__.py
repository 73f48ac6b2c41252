"""Embedding: jobs of shards, the worker that computes them, the executors that run it."""
