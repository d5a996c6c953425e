#!/bin/sh
# prerequisites.sh PYTHON: say in one sentence what this machine lacks for building aioxide.
#
# Runs before there is any Python of ours, so it is plain sh.
set -eu

python=${1:?usage: prerequisites.sh PYTHON}
root=$(cd "$(dirname "$0")/.." && pwd)

lack() {
    echo "aioxide: $1" >&2
    exit 1
}

have() { command -v "$1" > /dev/null 2>&1; }

have "$python" ||
    lack "'$python' not found: install Python 3.11 or newer, or name one with 'make PYTHON=/path/to/python3'."
"$python" -c 'import sys' > /dev/null 2>&1 ||
    lack "'$python' does not start: name a working Python with 'make PYTHON=/path/to/python3'."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    lack "'$python' is $("$python" --version 2>&1) and too old: install Python 3.11 or newer, or name one with 'make PYTHON=/path/to/python3'."
"$python" -c 'import sys; sys.exit(sys.implementation.name != "cpython")' ||
    lack "'$python' is not CPython, the only Python whose asyncio aioxide extends: name one with 'make PYTHON=/path/to/python3'."
"$python" -c 'import ensurepip, venv' > /dev/null 2>&1 ||
    lack "'$python' cannot make virtual environments with pip: install its venv package (Debian and Ubuntu: apt install python3-venv)."

have cargo ||
    lack "cargo not found: install Rust from https://rustup.rs and open a new shell."
have rustc ||
    lack "rustc not found beside cargo: install Rust from https://rustup.rs and open a new shell."
wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$root/Cargo.toml")
found=$(rustc --version 2> /dev/null | sed -n 's/^rustc \([0-9][0-9.]*\).*/\1/p')
[ -n "$found" ] ||
    lack "rustc does not start: repair the installation with 'rustup default stable'."
"$python" -c '
import sys
wanted, found = (tuple(map(int, v.split("."))) for v in sys.argv[1:])
sys.exit(found < wanted)' "$wanted" "$found" ||
    lack "Rust $found is too old, aioxide needs $wanted: run 'rustup update'."

have cc || have gcc || have clang ||
    lack "no C compiler, which Rust needs for linking: install one (Debian and Ubuntu: apt install build-essential)."
