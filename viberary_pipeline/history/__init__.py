"""A record of every run that was to publish an index; what changed between two of them; the page of trends.

A record outlives its build: it is a few kilobytes of JSON, where documents and index are gigabytes. Dagster is not
needed here; `resources/run_record.py` reads its events.
"""
