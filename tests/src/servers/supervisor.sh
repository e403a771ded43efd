# Runs a server for a test process, by orders that come in through a pipe. The pipe is at its end when the test process
# is, however that ended: then the server is stopped and its directory removed.
#
# It alone sends signals: it is the server's parent, so that it knows whether a process is still the one it started.
#
# Arguments: the directory, what to keep it (yes or no), the signal for the end, the program and its arguments.
directory=$1 keep=$2 last_signal=$3
shift 3
server=none
trap : HUP INT TERM PIPE # a signal ends `read`, as the end of the pipe does

# children PARENT STATES: those in one of the states.
children() {
    if [ -r /proc/self/stat ]; then
        cat /proc/[0-9]*/stat 2>/dev/null | sed -n "s/^\([0-9]*\) (.*) $2 $1 .*/\1/p"
    else
        ps -A -o pid= -o ppid= -o stat= | sed -n "s/^ *\([0-9]*\)  *$1  *$2.*/\1/p"
    fi
}

runs() {
    children $$ '[^ZX]' | grep -qx "$server"
}

# Stops the server and its children, and returns when they stand still. The server first: then it has no new children.
freeze() {
    while awake=$(children $$ '[^ZXTt]' | grep -x "$server"; children "$server" '[^ZXTt]'); [ "$awake" ]; do
        kill -STOP $awake 2>/dev/null
    done
}

# As a power cut: all at once, and nothing of it lives when this returns.
crash() {
    runs || return
    freeze
    while alive=$(children "$server" '[^ZX]'); [ "$alive" ]; do
        kill -KILL $alive 2>/dev/null
    done
    kill -KILL "$server"
    wait "$server" 2>/dev/null
}

resume() {
    runs && kill -CONT $(children "$server" '[^ZX]') "$server" 2>/dev/null
}

while read -r order argument; do
    case $order in
    start)
        "$@" </dev/null >>"$directory/log" 2>&1 &
        server=$!
        echo "$server"
        ;;
    runs) if runs; then echo yes; else echo no; fi ;;
    signal) runs && kill -"$argument" "$server"; echo done ;;
    freeze) runs && freeze; echo done ;;
    resume) resume; echo done ;;
    crash) crash; echo done ;;
    esac
done

resume
runs && kill -"$last_signal" "$server"
looks=0
while runs && [ "$looks" -lt 100 ]; do
    looks=$((looks + 1))
    sleep 0.05
done
crash
[ "$keep" = yes ] || rm -rf "$directory"
