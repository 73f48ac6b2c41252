"""A reader's words to ranked works: the parsed query, its look-ups in Redis, the ranking, the searcher."""
