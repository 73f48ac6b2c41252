"""What became of every run that was to end in a published index: records, what differs between two, and the trends.

A record outlives its build: it is a few kilobytes of JSON, where documents and index are gigabytes. Dagster is not
needed here; `resources/run_record.py` reads its events.
"""
