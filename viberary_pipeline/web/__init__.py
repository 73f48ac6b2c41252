"""The reader's page: a small Flask app over the published index (no torch, no dagster)."""
