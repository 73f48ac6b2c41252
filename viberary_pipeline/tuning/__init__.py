"""Tuning and distilling encoders: pairs of queries and documents in, a small adapter out."""
