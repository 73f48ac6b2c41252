"""Downloads of the public sources: large files, taken up again where they broke off, and verified before they count.

`download.py` gets one file from any server; `openlibrary.py` knows where Open Library's dumps lie and what their
checksums are. It is separable: only the command `viberary fetch` uses it.
"""
