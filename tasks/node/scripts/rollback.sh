# shellcheck shell=sh
# shellcheck disable=SC2013,SC2046,SC2086,SC2154 # IFS is a newline where words are split; the rest comes from the other parts
# Take changes back. The core decides what to take back, from the snapshots that `history` reports.

# history STORE: report every line of every snapshot, the oldest first.
history() {
  set +f
  set -- "$1"/[0-9]*.*/snapshot
  set -f
  reply="$reply$(grep -asH '' "$@" | sed 's/^/s/')
"
}

# newest FOLDER: refuse if there is a newer snapshot than the one of the decision.
newest() {
  decided=$1 last=
  set +f
  set -- "${1%/*}"/[0-9]*.*
  set -f
  for folder; do
    whole "$folder/snapshot" || continue
    if [ "$kept" ]; then last=$folder; else rm -rf "$folder"; fi # a snapshot without a complete piece is the rest of a power cut
  done
  [ "$last" = "$decided" ] || refuse newest "$decided" "${last##*/}"
}

# same PATH COPY: confirm that the file equals the copy, mode and owner included.
same() {
  if [ -L "$1" ] || [ -L "$2" ]; then
    [ "$(readlink "$1")" = "$(readlink "$2")" ] || return
  else
    [ -f "$1" ] && [ -f "$2" ] || return
    sum=$(cksum <"$1") && [ "$sum" = "$(cksum <"$2")" ] && [ "$(owner_of "$1")" = "$(owner_of "$2")" ] || return
  fi
  say "hsame $1 $2"
} 2>/dev/null

owner_of() {
  IFS=' '
  set -- $(ls -ldn "$1")
  IFS='
'
  echo "$1 $3 $4"
}

# marked PATH NUMBER TEXT: confirm that a line is commented out by us, or that it stands as it was.
marked() {
  path=${1%% *} rest=${1#* }
  [ -f "$path" ] || return # a FIFO would keep us for ever
  if grep -sqxF -e "$taken_over${rest#* }" "$path"; then say "hmarked $1"
  elif grep -sqxF -e "${rest#* }" "$path"; then say "hstands $1"
  fi
}

# restore PATH COPY: put the copy back to the byte, with mode, owner and time; a link as a link.
restore() {
  no_folder "$1" || return 1
  folder_of "$1" && beside "$1" && { cp -pP "$2" "$temporary" || { rm -f "$temporary" && return 1; }; } && place "$temporary" "$1"
}

remove() { rm -f "$1" && flush "${1%/*}"; }

# enable PATH NUMBER TEXT: take our mark from a line; if lines have moved, from the first that reads so.
enable() {
  file=$(readlink -f "$1") && only_file "$file" || return 1
  number=$2
  [ "$(sed -n "$2p" "$file")" = "$taken_over$3" ] || number=$(grep -nxF -e "$taken_over$3" "$file") || return 1
  edit "$file" "${number%%:*}s/^$taken_over//"
}

# unload NAMES: unload those that are not in use; their dependencies may be free then. The kernel lists the newest first.
# At most 20 rounds: something may load them as often as they are unloaded.
unload() {
  secure || return
  progress=1 rounds=0
  while [ "$progress" ] && [ $((rounds += 1)) -lt 20 ]; do
    progress=
    for entry in $(cat /proc/modules); do
      name=${entry%% *}
      case " $1 " in *" $name "*) ;; *) continue ;; esac
      uses=${entry#* * }
      [ "${uses%% *}" = 0 ] && (limited rmmod "$name" 2>/dev/null </dev/null) && progress=1
    done
  done
  for entry in $(cat /proc/modules); do
    name=${entry%% *}
    case " $1 " in *" $name "*) ;; *) continue ;; esac
    by=${entry#* * * } by=${by%% *}
    case $by in
      -) try unload "$name" limited rmmod "$name" ;;
      *) say "eunload $name 1 in use by ${by%,}" ;;
    esac
  done
}
