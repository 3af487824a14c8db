#!/bin/sh
# Shows the whole job on three virtual nodes, each step as you would type it. BIN is the folder of fab.
set -eu

step() {
    printf '\n\033[1m# %s\033[0m\n$ fab %s\n' "$1" "$2"
    shift
    # shellcheck disable=SC2086 # the words of one command
    "$BIN/fab" $1
}

step "Three Debian nodes on this machine (the first time takes a minute or two: their image is built)" "lab.up"
step "What would change? Writes nothing" "-H nodes plan"
step "Do it: files, modules, keys; then read everything back" "-H nodes apply"
step "Again: there is nothing left to do" "-H nodes apply"
step "Does it last? Reboot one node" "lab.reboot --node lab-2"
step "The gate before kubeadm join" "-H nodes verify"

cat <<EOF

The nodes are still running. Play with them:
    . $BIN/activate
    fab lab.ssh lab-1                              a shell on a node: break something there, then
    fab -H nodes verify                            see it named, and
    fab -H lab-1 fix net.ipv4.ip_forward=1         repair that one thing
    fab --list
End them:
    fab lab.down
EOF
