# shellcheck shell=bash
# Functions that deploy/, tests/ and their peers share. Source it, do not run it.
#
# Promises: messages go to standard error, so that standard output stays for values a caller captures; nothing
# here changes the shell options, the working folder or the environment of the caller.
# It does not know what Vigie is made of: every caller names the packages it needs and why.

# Prints a progress line.
say() { printf '%s\n' "$*" >&2; }

# Prints an error that names the way out, and ends the script.
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Prints the folder that keeps what is costly to fetch or to build, and creates it. It lies outside of the clone,
# so that a fresh clone finds it again.
vigie_cache_dir() {
    local dir="${VIGIE_CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:?is not set; set VIGIE_CACHE_DIR to a writable folder}/.cache}/vigie}"
    mkdir -p "$dir" || die "could not create the cache folder $dir; set VIGIE_CACHE_DIR to a writable folder"
    (cd "$dir" && pwd)
}

package_installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# Sets as_root to what makes a command run as root: nothing, or a sudo that asks nothing. Fails where neither is possible.
find_root() {
    as_root=()
    [ "$(id -u)" -ne 0 ] || return 0
    command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null && as_root=(sudo -n)
}

# require_packages REASON PACKAGE...
# Installs those of the Debian packages that are missing, as root or with a sudo that asks nothing. Where neither is
# possible it prints the command to run and ends the script. Costs a few milliseconds when nothing is missing.
require_packages() {
    local reason="$1" package missing=() as_root=()
    shift
    for package in "$@"; do
        package_installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0

    command -v apt-get >/dev/null 2>&1 ||
        die "missing: ${missing[*]} ($reason), and this is no Debian system; install their equivalents and put them on the PATH"
    find_root ||
        die "missing Debian packages ($reason); run: sudo apt-get update && sudo apt-get install --no-install-recommends ${missing[*]}"

    say "installing Debian packages for $reason: ${missing[*]}"
    # One installation at a time, also among scripts that run side by side: dpkg refuses a second one.
    (
        flock 9
        local still=()
        for package in "${missing[@]}"; do
            package_installed "$package" || still+=("$package")
        done
        [ ${#still[@]} -gt 0 ] || exit 0
        apt_install_missing "${still[@]}"
    ) 9>"${TMPDIR:-/tmp}/vigie-packages-$(id -u).lock" || die "could not install ${missing[*]}; see the messages of apt-get above"
}

# Installs the packages; reads the package lists anew only if they do not know them or what they name is gone.
apt_install_missing() {
    # shellcheck disable=SC2154  # as_root belongs to the caller, require_packages
    local install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 "$@")
    if apt-get install -s -q --no-install-recommends "$@" >/dev/null 2>&1 && "${install[@]}" >&2; then
        return 0
    fi
    say "reading the package lists anew"
    "${as_root[@]}" apt-get update -q -o DPkg::Lock::Timeout=300 >&2 && "${install[@]}" >&2
}

# unpack_package DIR PACKAGE: the files of a Debian package below DIR, without installing it.
unpack_package() {
    local as_root
    mkdir -p "$1" || return
    (
        cd "$1" || exit
        apt-get download -q "$2" >&2 ||
            { find_root && "${as_root[@]}" apt-get update -q -o DPkg::Lock::Timeout=300 >&2 && apt-get download -q "$2" >&2; } || exit
        dpkg-deb -x "$2"_*.deb . && rm -f "$2"_*.deb
    )
}

# require_rust ROOT: the cargo that builds Vigie, of the version that rust-toolchain.toml names.
require_rust() {
    if ! command -v cargo >/dev/null 2>&1 && [ -x "${CARGO_HOME:-${HOME:-}/.cargo}/bin/cargo" ]; then
        PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    fi
    command -v cargo >/dev/null 2>&1 ||
        die "there is no cargo; install Rust with rustup, see https://rustup.rs, then run this again"
    local wanted found
    wanted="$(sed -n 's/^channel = "\(.*\)"/\1/p' "$1/rust-toolchain.toml")"
    # With rustup this also fetches the toolchain, once.
    found="$(cd "$1" && cargo --version)" || die "cargo does not start in $1; see the message above"
    found="$(printf '%s' "$found" | cut -d' ' -f2)"
    [ "$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] ||
        die "Rust $wanted or newer is needed, $(command -v cargo) is $found; install rustup, see https://rustup.rs, or a newer Rust"
}

# What compiling Vigie needs besides Rust. The C and C++ sources of Kafka's client, OpenSSL, SQLite, zstd and others come
# with the crates: no development package is asked for.
require_build_packages() { require_packages "compiling Vigie" gcc g++ libc6-dev make perl pkg-config; }

# vigie_target_dir ROOT: prints the folder that cargo builds into.
# CARGO_TARGET_DIR where it is set; else one in the cache, so that a fresh clone need not compile its dependencies again,
# where CI is set or that folder is there already; else target/ in the clone.
vigie_target_dir() {
    local dir
    if [ -n "${CARGO_TARGET_DIR:-}" ]; then
        dir="$CARGO_TARGET_DIR"
    else
        dir="$(vigie_cache_dir)/target" || exit 1
        case "${CI:-}" in '' | 0 | false) [ -d "$dir" ] || dir="$1/target" ;; esac
    fi
    mkdir -p "$dir" || die "could not create the build folder $dir; set CARGO_TARGET_DIR to a writable one"
    (cd "$dir" && pwd)
}

# claim_target DIR ROOT: lets the clone ROOT build into DIR, which clones may share, and keeps others out through the descriptor 7
# until this script ends or calls release_target. What must outlive the script is started with 7>&-.
# Cargo tells the crates of two clones apart only by the times of their files: it could take the other's for ours. When the
# folder was last used by another clone, those of our own crates are compiled anew; the dependencies are not.
claim_target() {
    local owner=
    exec 7>"$1/.vigie-lock"
    if ! flock --nonblock 7; then
        say "another run builds in $1; waiting for it"
        flock --timeout 5400 7 || die "another run has built in $1 for 90 minutes; end it, or set CARGO_TARGET_DIR to another folder"
    fi
    [ ! -e "$1/.vigie-clone" ] || owner="$(cat "$1/.vigie-clone")"
    [ "$owner" != "$2" ] || return 0
    if [ -n "$owner" ]; then
        find "$1" -maxdepth 3 -path '*/.fingerprint/vigie*' -prune -exec rm -rf {} + || return
    fi
    printf '%s\n' "$2" >"$1/.vigie-clone"
}

release_target() { exec 7>&-; }

# duration SECONDS: as people read it.
duration() {
    if [ "$1" -lt 100 ]; then printf '%d s' "$1"; else printf '%d min %02d s' $(($1 / 60)) $(($1 % 60)); fi
}
