"""The pipeline's Redis: the one that VIBERARY_REDIS_URL names, or an embedded one per VIBERARY_HOME.

`connect` is all that most callers need. The rest manages the embedded server: `ensure`, `running`, `stop`,
and `prepare`, which fetches beforehand whatever its first start would have to download.

The embedded server is for one person's machine, and separable: with VIBERARY_REDIS_URL set, only `connection.py` and
`failures.py` (errors of Redis in words) are used. `candidates.py` looks for a redis-server with search, `openssl.py`
for the OpenSSL 1.1 that the one in a wheel needs, `probe.py` proves that search works, `launch.py` starts it,
`state.py` is the file by which the next command finds it. A new place or version is a candidate; the order of steps
in `launch.py` and `state.py` is what makes starts side by side safe (tests/redis/test_redis_server.py).
"""

from viberary_pipeline.redis_server.connection import connect, prepare
from viberary_pipeline.redis_server.instance import ensure, running, stop
from viberary_pipeline.redis_server.state import Server

__all__ = ["Server", "connect", "ensure", "prepare", "running", "stop"]
