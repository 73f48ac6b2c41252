-- openlibrary_authors: one row per author $first to $last - 1, a line of ol_dump_authors in `line`. Inputs: variables.
SELECT now_and_then_twice(record('/type/author', author_key(id), id, concat(
    field(below(id, 'no name', 3000) > 0, 'name', quoted(author_name(id))),
    field(chance(id, 'personal name', 0.4), 'personal_name', quoted(author_name(id))),
    field(chance(id, 'born', 0.2), 'birth_date', quoted(free_date(id, 1870 + below(id, 'birth', 120)))),
    field(chance(id, 'died', 0.06), 'death_date', quoted(free_date(id + 1, 1940 + below(id, 'death', 80)))),
    field(chance(id, 'other names', 0.03), 'alternate_names', concat(
        '["', pick(getvariable('last_names'), id, 'last'), ', ', pick(getvariable('first_names'), id, 'first'), '"]'
    )),
    field(chance(id, 'bio', 0.008), 'bio',
          text_value(id, concat('Lives in ', pick(getvariable('towns'), id, 'town'), '.'))),
    field(chance(id, 'photo', 0.01), 'photos', concat('[', 1 + below(id, 'photo number', 14500000), ']')),
    field(chance(id, 'remote', 0.1), 'remote_ids', concat('{"viaf": "', below(id, 'viaf', 300000000), '"}'))
)), id) AS line
FROM range($first, $last) AS ids(id)
