"""The bundled catalogue: real books with texts of this project's own, and dirt like the real files'.

`GOLDEN` holds judged queries of it, `CANARIES` queries whose answers are known: an evaluation and the gates of an index
take the paths of such files, and no part of the pipeline knows these.
"""

from pathlib import Path

GOLDEN = Path(__file__).with_name("golden.toml")
CANARIES = Path(__file__).with_name("canaries.toml")
