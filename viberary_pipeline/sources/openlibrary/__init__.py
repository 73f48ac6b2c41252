"""Open Library's monthly dumps: their files as typed tables, and those joined into the tables that documents read."""
