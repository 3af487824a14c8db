#!/bin/sh
# packages.sh PART...: as root, installs the Debian packages that are missing; for other users, prints their names.
# A program that is there counts, wherever it came from. If that is not enough, a later step names what it lacks.
set -eu

missing=
need() { # PACKAGE PROGRAM: adds the package if the program is neither on PATH nor in the folders of root's PATH
    PATH=$PATH:/usr/sbin:/sbin command -v "$2" >/dev/null 2>&1 || missing="$missing $1"
}

for part in "$@"; do
    case $part in
    demo)
        need qemu-system-x86 qemu-system-x86_64
        need qemu-utils qemu-img
        need mmdebstrap mmdebstrap
        need busybox-static busybox
        need e2fsprogs mkfs.ext4
        need openssh-client ssh
        python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
        ;;
    test)
        need openssh-server sshd
        need sudo sudo
        need fish fish
        need shellcheck shellcheck
        need procps sysctl
        need iproute2 ip
        need strace strace
        need gcc cc
        [ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"
        need jq jq
        need golang-go go
        [ -e /usr/share/gocode/src/k8s.io/system-validators ] || missing="$missing golang-k8s-system-validators-dev"
        ;;
    bench)
        need openssh-client ssh
        need openssh-server sshd
        need procps sysctl
        need iproute2 ip
        need gcc cc
        [ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"
        [ -x /usr/bin/python3 ] || missing="$missing python3" # Ansible's, on the nodes
        need pssh parallel-ssh                                # PyPI's pssh 2.3.1 ends at once under Python 3
        need strace strace
        ;;
    esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "missing packages:$missing" >&2
    echo "install them as root (apt install$missing), then run this again" >&2
    exit 2
fi
echo "installing:$missing"
apt-get update -qq
# shellcheck disable=SC2086 # a list of words
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
