#!/usr/bin/env bash
# Creates the virtual environment $VENV and installs the whole project into it. Safe to run again: it ends at once
# where nothing changed, and mends an environment that was half made, moved, or has lost its Python. Says which
# system package is missing, where one is.
set -euo pipefail
cd "$(dirname "$0")/.."
here=$(pwd -P)
venv=${VENV:-.venv}
case $venv in /*) ;; *) venv=$here/$venv ;; esac
if [ -d "$venv" ]; then venv=$(cd "$venv" && pwd -P); fi
stamp=$venv/.installed
# What was installed, and from where; compared by content, since a checkout changes the times of files.
wanted=$(echo "$here"; cksum pyproject.toml constraints.txt scripts/setup.sh)

# From another folder, so that the package is found where it is installed and not because it lies here.
imports() (cd / && "$venv/bin/python" -c 'import viberary_pipeline.cli' >/dev/null 2>&1)

if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && imports; then
    exit 0
fi

python=${PYTHON:-}
if [ -z "$python" ]; then
    for candidate in python3 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            python=$candidate
            break
        fi
    done
fi
if [ -z "$python" ]; then
    echo "setup: Python 3.11 or newer is missing." >&2
    echo "  expected:   python3 (3.11+) on the PATH" >&2
    echo "  found:      $(python3 --version 2>&1 || echo none)" >&2
    echo "  what to do: apt-get install python3 python3-venv   (or set PYTHON=/path/to/python)" >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "setup: Python's venv module is missing." >&2
    echo "  expected:   $python with ensurepip and venv" >&2
    echo "  found:      $("$python" --version) without them" >&2
    echo "  what to do: apt-get install python3-venv" >&2
    exit 1
fi

# A half-made environment (a killed setup) has no pip, and after an upgrade of the system none that runs. In a moved
# one, every command names the old place in its first lines. Such an environment is made again.
usable() {
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 && head -n 3 "$venv/bin/pip" | grep -qF "$venv/bin/python"
}
rm -f "$stamp"
if ! usable; then
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi
echo "installing into $venv (a few minutes the first time)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
    --editable '.[pipeline,dev,docs]'
# pip compiles all but what is editable. With PYTHONDONTWRITEBYTECODE set, every process would compile it anew.
"$venv/bin/python" -m compileall -q viberary_pipeline
# What the embedded Redis would otherwise download at its first start.
"$venv/bin/python" -m viberary_pipeline.redis_server fetch
echo "$wanted" > "$stamp"
