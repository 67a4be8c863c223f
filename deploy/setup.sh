# Sourced by quickstart and runtests: packages and builds.  Needs ROOT (the repository).
# Works as root, with sudo, or without either where the packages are there already.

PACKAGES="gcc libc6-dev meson ninja-build pkg-config python3 protobuf-c-compiler protobuf-compiler
  libprotobuf-c-dev openmpi-bin libopenmpi-dev libuv1-dev libsqlite3-dev libdnnl-dev libsleef-dev
  libcmocka-dev libpng-dev libjansson-dev libyaml-dev libssl-dev zlib1g-dev libdeflate-dev"

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# need_packages NAME...: installs those that are missing.
need_packages() {
    missing=""
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' ||
            missing="$missing $package"
    done
    if [ -z "$missing" ]; then
        say "Packages: all there"
        return
    fi
    command -v apt-get >/dev/null || die "this set-up knows Debian and Ubuntu; install by hand:$missing"
    as_root=""
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "run as root, or install first:$missing"
        as_root="sudo"
    fi
    say "Packages: installing$missing"
    # shellcheck disable=SC2086  # the list is words on purpose
    { $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing ||
        { $as_root apt-get update -q &&
          $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing; }
    } >"$SETUP_LOG" 2>&1 || { tail -n 20 "$SETUP_LOG" >&2; die "apt-get failed; its output is above"; }
}

# build_folder SUFFIX: where this user may build; sudo once and not the next time must not clash.
build_folder() {
    folder="$ROOT/build$1"
    if [ -e "$folder" ]; then
        [ -O "$folder" ] || folder="$ROOT/build$1-$(id -un)"
    fi
    if ! mkdir -p "$folder" 2>/dev/null; then
        folder="${XDG_CACHE_HOME:-$HOME/.cache}/cambrian/build$1"
        mkdir -p "$folder" || die "$folder: cannot create"
    fi
    printf '%s\n' "$folder"
}

# build FOLDER [MESON OPTION]...: configures once, then builds what changed.
build() {
    folder=$1
    shift
    say "Build: $folder"
    if [ ! -f "$folder/build.ninja" ]; then
        meson setup "$folder" "$ROOT" "$@" >"$SETUP_LOG" 2>&1 ||
            { tail -n 20 "$SETUP_LOG" >&2; die "meson failed; its output is above"; }
    fi
    ninja -C "$folder" >"$SETUP_LOG" 2>&1 ||
        { grep -E 'error|FAILED' "$SETUP_LOG" | head -n 20 >&2; tail -n 5 "$SETUP_LOG" >&2
          die "the build failed; its output is above"; }
}

SETUP_LOG=$(mktemp "${TMPDIR:-/tmp}/cambrian-setup.XXXXXX")
