#!/usr/bin/env bash
# Makes or updates a virtual environment with the project in it, editable, for the Makefile; from the
# checkout's root: dev/make_venv.sh [PYTHON [VENV [REQUIREMENTS [PROJECT]]]]
# By default with a Python that is found, in .venv, from dev/requirements.txt. PROJECT is `.`, or
# `none` for a virtual environment that has the requirements alone.
set -euo pipefail

venv=${2:-.venv}
requirements=${3:-dev/requirements.txt}
project=${4:-.}

new_enough() {
    # Runs it, since a pyenv shim exists also for versions that are not selected.
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    local candidate
    for candidate in ${1:-python3 python3.13 python3.12 python3.11}; do
        if new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    echo "No Python 3.11 or later found: install one, or name it: make PYTHON=/path/to/python3" >&2
    return 1
}

make_venv() {
    rm -rf "$venv"
    # Debian's python3 has no ensurepip without python3-venv; a pip outside can then help out.
    if ! "$1" -m venv "$venv" >/dev/null 2>&1; then
        rm -rf "$venv"
        "$1" -m venv --without-pip "$venv" && "$1" -m pip --version >/dev/null 2>&1 || {
            rm -rf "$venv"
            echo "$1 cannot make a virtual environment. On Debian and Ubuntu:" >&2
            echo "    apt-get install python3-venv" >&2
            return 1
        }
    fi
}

# The venv's pip where it has one, else that of the Python it was made with.
pip_install() {
    if "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        "$venv/bin/python" -m pip install --quiet "$@"
    else
        "$python" -m pip --python "$venv/bin/python" install --quiet "$@"
    fi
}

python=$(find_python "${1:-}")
if ! { [ -x "$venv/bin/python" ] && new_enough "$venv/bin/python"; }; then
    echo "Making $venv with $python ($("$python" --version))" >&2
    make_venv "$python"
fi
pip_install --constraint dev/requirements.txt uv
# Airflow's first start takes minutes if it has to compile itself.
uv_install() { VIRTUAL_ENV=$PWD/$venv "$venv/bin/uv" pip install --quiet "$@"; }
uv_install --compile-bytecode --requirement "$requirements"
if [ "$project" != none ]; then
    uv_install --no-deps --no-build-isolation --editable "$project"
fi
