"""The typed tables joined into documents: one row per work, with the text that is embedded."""
