"""Embedding: jobs of shards, the worker that computes them, and the store that keeps every vector once."""
