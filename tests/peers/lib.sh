# shellcheck shell=bash
# What the peers' `run` scripts share: the command line, run folders, free ports, processes that really end.
#
# A peer is a real server that the tests talk to. Its `run` sets peer_name and defines:
#   peer_start    starts the servers with `spawn`, waits until they answer, adds lines to $peer_dir/env.new
#   peer_stop     optional: what is to be ended besides the spawned processes
#   peer_command  optional: commands of its own; gets the remaining arguments
# and ends with `peer_main "$@"`.
#
# Promises: `start` prints NAME=value lines on standard output once the peer answers real requests, and prints the same
# lines again when it runs already; a start that fails leaves nothing running; `stop` ends whole process groups, and
# is a success when nothing runs. Two run folders (--dir) never share a port or a process.

# The name and folder of the peer, and the signal that asks its processes to end.
: "${peer_name:?set it before sourcing this file}"
peer_dir=
peer_stop_signal="${peer_stop_signal:-TERM}"

peers_folder="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=deploy/lib.sh
. "$peers_folder/../../deploy/lib.sh"

# Tries to be the last to compete for the processor with the tests and builds beside it.
gently() { nice -n 10 "$@"; }

# A port range below the one that outgoing connections draw from: a server that is stopped and started again finds its
# port still free.
# free_ports COUNT: prints distinct ports of 127.0.0.1 that nothing listens on, separated by blanks.
free_ports() {
    python3 - "$1" <<'PYTHON'
import random, socket, sys

held = []
for port in random.sample(range(20000, 32000), 2000):
    if len(held) == int(sys.argv[1]):
        break
    candidate = socket.socket()
    try:
        candidate.bind(("127.0.0.1", port))
    except OSError:
        candidate.close()
        continue
    held.append(candidate)
print(*(s.getsockname()[1] for s in held))
PYTHON
}

# The moment a process began, in clock ticks since boot: tells a process from a later one with the same number.
process_birth() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# spawn NAME COMMAND...: starts a process group of its own that survives this script, with its output in NAME.log.
spawn() {
    local name="$1"
    shift
    setsid "$@" </dev/null >>"$peer_dir/$name.log" 2>&1 9>&- &
    printf '%s %s\n' "$!" "$(process_birth "$!")" >"$peer_dir/$name.pid"
    disown
}

spawned_names() {
    local file
    for file in "$peer_dir"/*.pid; do
        [ -e "$file" ] && basename "$file" .pid
    done
    return 0
}

# Prints the process of NAME if it still runs, else fails.
running() {
    local pid birth state
    read -r pid birth 2>/dev/null <"$peer_dir/$1.pid" || return 1
    [ -n "$birth" ] && [ "$(process_birth "$pid")" = "$birth" ] || return 1
    state="$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -c1)"
    [ -n "$state" ] && [ "$state" != Z ] && printf '%s\n' "$pid"
}

# Whether any process of the group is left; a dead one that waits to be reaped does not count.
group_alive() {
    local stat group state
    for stat in /proc/[0-9]*/stat; do
        read -r state _ group _ < <(sed 's/.*) //' "$stat" 2>/dev/null) || continue
        [ "$group" = "$1" ] && [ "$state" != Z ] && return 0
    done
    return 1
}

# end_process NAME [SECONDS]: ends the group politely, and after that many seconds by force.
end_process() {
    local pid
    if pid="$(running "$1")"; then
        kill "-$peer_stop_signal" -- "-$pid" 2>/dev/null || true
        wait_quietly "${2:-15}" group_gone "$pid" || {
            kill -KILL -- "-$pid" 2>/dev/null || true
            wait_quietly 10 group_gone "$pid" || say "$peer_name: process group $pid of $1 does not end"
        }
    fi
    rm -f "$peer_dir/$1.pid"
}

# kill_process NAME: kill -9 of the whole group, as a crash.
kill_process() {
    local pid
    pid="$(running "$1")" || die "$peer_name: $1 does not run"
    kill -KILL -- "-$pid" 2>/dev/null || true
    wait_quietly 10 group_gone "$pid" || die "$peer_name: process group $pid of $1 does not end"
    rm -f "$peer_dir/$1.pid"
}

group_gone() { ! group_alive "$1"; }

# wait_quietly SECONDS COMMAND...: repeats the command until it succeeds; fails when the time is over.
wait_quietly() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

# await NAME SECONDS COMMAND...: waits for a peer's answer; gives up at once when the process NAME has ended.
await() {
    local name="$1" limit="$2" deadline=$((SECONDS + $2))
    shift 2
    until "$@" >/dev/null 2>&1; do
        running "$name" >/dev/null || peer_failed "$name" "ended before it was ready"
        [ "$SECONDS" -lt "$deadline" ] || peer_failed "$name" "was not ready within $limit s"
        sleep 0.1
    done
}

peer_failed() {
    say "last lines of $peer_dir/$1.log:"
    tail -n 25 "$peer_dir/$1.log" >&2 || true
    die "$peer_name: $1 $2"
}

# answers URL: whether a GET gets a 2xx.
answers() {
    python3 -c 'import sys, urllib.request
urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1], timeout=5).read()' "$1"
}

# offer NAME VALUE: one line for those who use the peer.
offer() { printf '%s=%s\n' "$1" "$2" >>"$peer_dir/env.new"; }

# cached NAME FILE...: prints the folder in the cache for what is built from these files. The builder, build_NAME DIR,
# runs once for the same contents, also when several scripts ask at the same time, and a build that fails leaves nothing.
cached() {
    local name="$1" cache key dir
    shift
    cache="$(vigie_cache_dir)/peers" || exit 1
    mkdir -p "$cache"
    key="$(cat "$@" <(uname -m) | sha256sum | cut -c1-16)"
    dir="$cache/$name-$key"
    if [ ! -e "$dir/.complete" ]; then
        (
            flock 8
            [ ! -e "$dir/.complete" ] || exit 0
            rm -rf "$dir"
            mkdir -p "$dir"
            "build_$name" "$dir" >&2 8>&- && touch "$dir/.complete"
        ) 8>"$cache/$name.lock" || {
            rm -rf "$dir"
            die "$peer_name: could not install $name; see the messages above"
        }
    fi
    printf '%s\n' "$dir"
}

# make_venv DIR REQUIREMENTS: a Python environment with exactly these packages.
make_venv() {
    python3 -c 'import venv, ensurepip' 2>/dev/null || require_packages "the tests' peers" python3-venv
    gently python3 -m venv "$1" &&
        gently "$1/bin/python" -m pip install -q --disable-pip-version-check --no-deps -r "$2"
}

all_running() {
    local name any=
    for name in $(spawned_names); do
        running "$name" >/dev/null || return 1
        any=yes
    done
    [ -n "$any" ] && [ -e "$peer_dir/env" ]
}

stop_everything() {
    local name
    for name in $(spawned_names); do
        end_process "$name"
    done
    if declare -F peer_stop >/dev/null; then peer_stop; fi
    rm -f "$peer_dir/env" "$peer_dir/env.new"
}

stop_after_failure() {
    local code=$?
    [ "$code" -eq 0 ] || stop_everything
    exit "$code"
}

start_command() {
    if all_running; then
        cat "$peer_dir/env"
        return
    fi
    stop_everything
    rm -f "$peer_dir"/*.log
    trap stop_after_failure EXIT
    trap 'exit 130' INT TERM
    : >"$peer_dir/env.new"
    peer_start
    mv "$peer_dir/env.new" "$peer_dir/env"
    cat "$peer_dir/env"
}

status_command() {
    if all_running; then
        cat "$peer_dir/env"
    else
        say "$peer_name: not running in $peer_dir"
        return 3
    fi
}

peer_main() {
    local command="${1:-}" root="${VIGIE_PEERS_DIR:-}"
    shift || true
    peer_arguments=()
    while [ $# -gt 0 ]; do
        case "$1" in
        --dir)
            root="${2:?--dir needs a folder}"
            shift 2
            ;;
        --dir=*)
            root="${1#--dir=}"
            shift
            ;;
        *)
            peer_arguments+=("$1")
            shift
            ;;
        esac
    done
    command -v python3 >/dev/null 2>&1 || require_packages "the tests' peers" python3

    root="${root:-$(vigie_cache_dir)/run}"
    peer_dir="$root/$peer_name"
    mkdir -p "$peer_dir"
    peer_dir="$(cd "$peer_dir" && pwd)"

    # One command at a time on one run folder; `spawn` and `cached` keep the lock from outliving this script.
    exec 9>"$peer_dir/lock"
    flock -w 900 9 || die "$peer_name: another command has held $peer_dir for 15 minutes"
    case "$command" in
    start) start_command ;;
    stop) stop_everything ;;
    status) status_command ;;
    *)
        if declare -F peer_command >/dev/null; then
            peer_command "$command" "${peer_arguments[@]}"
        else
            die "usage: $0 start|stop|status [--dir DIR]"
        fi
        ;;
    esac
}
