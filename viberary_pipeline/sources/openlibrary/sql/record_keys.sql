-- record_keys: one row per line of the works' and the editions' files whose record is to be linked (`untouched.py`), or
-- that is no record: of which of the two files, its key, kind, target (of a redirect) and first work (of an edition), ids as
-- number_of has them. id is null for a line that is no record; kind is null where the line begins as those of works, or
-- editions, do.
CREATE TEMP TABLE record_keys (
    record ENUM ('work', 'edition'), line BIGINT, id BIGINT, kind VARCHAR, redirected_to BIGINT, work_id BIGINT
)
