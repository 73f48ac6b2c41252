"""Downloads of the public sources: large files, resumed after a break, and verified before they are used.

`download.py` gets one file from any server; `openlibrary.py` knows where Open Library's dumps lie and what their
checksums are. It is separable: only the command `viberary fetch` uses it.
"""
