-- Of a record that is there more than once record_keys keeps the first line. Inputs: record_keys, again.
DELETE FROM record_keys USING again WHERE record_keys.line = again.line AND record_keys.record = again.record
