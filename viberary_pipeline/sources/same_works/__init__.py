"""Which works of Open Library are works of UCSD: joined by numbers of their editions, or by title and author."""
