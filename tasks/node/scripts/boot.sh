# shellcheck shell=sh
# Receive one request of $1 bytes on stdin and run its script. $2 is the mark that ends the script and the data after it;
# a request cut short by a lost connection has no second mark and is not run. $3, if given, is printed first.
# stderr joins stdout, so that the output of sudo comes in order; a reply is printed with stderr closed.
# One line without single quotes: it travels inside them through whatever login shell the node has.
exec 2>&1; LC_ALL=C PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin; export LC_ALL PATH; [ -z "$3" ] || echo "$3"; b=$(head -c "$1"); case $b in *"$2"*"$2") eval "${b%%"$2"*}";; *) exit 70;; esac
