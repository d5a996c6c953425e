# Sourced by the scripts: makes a temporary environment with the named packages, and compares.
# Sets: work (the folder, removed at the end), python (its interpreter).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

install() {
    "${PYTHON:-python3}" -m venv "$work/venv"
    python=$work/venv/bin/python
    if [ $# -gt 0 ]; then
        "$python" -m pip install --quiet --disable-pip-version-check "$@"
    fi
}

# expect NAME SEEN WANTED
expect() {
    printf '%-44s %s\n' "$1" "$2"
    [ "$2" = "$3" ] || { echo "changed: it was $3"; exit 1; }
}
