"""Input files to typed tables: found, fingerprinted, unpacked, parsed, cleaned; every line is a row or a reject."""
