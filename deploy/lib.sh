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
    if [ "$(id -u)" -ne 0 ]; then
        if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
            as_root=(sudo -n)
        else
            die "missing Debian packages ($reason); run: sudo apt-get update && sudo apt-get install --no-install-recommends ${missing[*]}"
        fi
    fi

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
