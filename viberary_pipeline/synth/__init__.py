"""A catalogue of any size, for benchmarks and load tests, in the shape of the UCSD Book Graph or of Open Library.

Every record is a formula of its number and the seed, written as a line of JSON inside DuckDB: no table of the
catalogue exists anywhere, so ranges of records are made side by side in bounded memory. The same counts and seed
give the same bytes, whatever the threads and the memory, for a given version of DuckDB (its hash() may change
between versions) and of isal. Catalogues of different sizes do not share records.

Of UCSD: counts, empty shares, editions, authors and reviews per book are those counted in UCSD's files; the mix of
languages, ratings, votes, lengths and dirt are estimates. Text compresses better than real prose does (gzip -6: 24 %
of the JSON of reviews where real ones keep about a third); a fast deflate level brings the files near their real
sizes.

Of Open Library: the shares of works that have authors, subjects, covers, a first date and a description are those
counted in a dump; how often each form of a field is met, and everything about editions, is an estimate.

It is separable: only the command `viberary synth` and the benchmarks use it. Vocabulary, shares and formulas may be
changed freely; a seed gives other bytes from then on.
"""
