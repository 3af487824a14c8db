#!/bin/sh
# Stands in for kmod's modprobe on a node whose /proc/modules and /proc/sys are plain files: to load a module is to add
# it and the modules that it needs to /proc/modules and /sys/module, and to add the keys that it registers.
# Messages and exit statuses are those of kmod 30, as far as they go.
read -r release </proc/sys/kernel/osrelease
modules=/lib/modules/$release
brings=/usr/share/nodeprep-fleet/modules
all='' blacklisted='' dry='' quiet='' verbose='' install=1 status=0
# cat reads whole files. dash's own read takes a byte at a time, which was most of the cost of a first apply on a node.
builtin=$(cat "$modules/modules.builtin" 2>/dev/null)
depends=$(cat "$modules/modules.dep" 2>/dev/null)
live=$(cat /proc/modules)
new='' words=$IFS nl='
'

complain() {
  [ "$quiet" ] || echo "modprobe: $1" >&2
  status=1
}

option() {
  case $1 in
    a | all) all=1 ;;
    b | use-blacklist) blacklisted=1 ;;
    n | dry-run | show) dry=1 ;;
    q | quiet) quiet=1 ;;
    v | verbose) verbose=1 ;;
    i | ignore-install) install='' ;;
    s | syslog) ;;
    *) echo "modprobe: the fleet's stub has no option $1" >&2; exit 1 ;;
  esac
}

configured() { # VERB NAME: true if a file of modprobe.d has such a line; leaves its rest in $rest
  for file in /etc/modprobe.d/*.conf /run/modprobe.d/*.conf /lib/modprobe.d/*.conf; do
    [ -r "$file" ] || continue
    while read -r verb name rest; do
      [ "$verb $name" != "$1 $2" ] || return 0
    done <"$file"
  done
  return 1
}

listed() { # NAME LINES: leaves the module's path in $path, and in $needs those that it needs, the first to load last
  IFS=$nl
  # shellcheck disable=SC2086 # split into lines
  set -- "$1" $2
  IFS=$words
  wanted=$1
  shift
  for line; do
    path=${line%%:*}
    base=${path##*/}
    needs=${line#*:}
    [ "${base%%.ko*}" != "$wanted" ] || return 0
  done
  return 1
}

loaded() {
  case $nl$live in *"$nl$1 "*) ;; *) return 1 ;; esac
}

insert() { # PATH
  base=${1##*/}
  module=${base%%.ko*}
  loaded "$module" && return
  [ ! "$verbose" ] || echo "insmod $modules/$1 "
  [ ! "$dry" ] || return
  if [ ! -w /proc/modules ]; then
    complain "ERROR: could not insert '$module': Operation not permitted"
    return
  fi
  echo "$module 16384 0 - Live 0x0000000000000000" >>/proc/modules
  live="$live$nl$module "
  new="$new /sys/module/$module"
  # shellcheck source=/dev/null
  [ ! -e "$brings/$module" ] || . "$brings/$module"
}

load() { # NAME
  if [ "$blacklisted" ] && configured blacklist "$1"; then return; fi
  if [ "$install" ] && configured install "$1"; then
    [ ! "$verbose" ] || echo "install $rest"
    [ "$dry" ] || sh -c "$rest" || complain "ERROR: Error running install command '$rest' for module $1: retcode $?"
    return
  fi
  if listed "$1" "$builtin"; then return; fi
  if ! listed "$1" "$depends"; then
    complain "FATAL: Module $2 not found in directory $modules"
    return
  fi
  chain=$path
  for needed in $needs; do chain="$needed $chain"; done
  for each in $chain; do insert "$each"; done
}

while getopts :abnqvis-: letter; do
  case $letter in
    -) option "$OPTARG" ;;
    \?) option "$OPTARG" ;;
    *) option "$letter" ;;
  esac
done
shift $((OPTIND - 1))
if [ $# -eq 0 ]; then
  echo 'modprobe: ERROR: missing parameters. See -h.' >&2
  exit 1
fi
[ "$all" ] || set -- "$1" # the others are the module's own parameters
for word; do
  plain=$word
  while :; do
    case $plain in
      *-*) plain=${plain%%-*}_${plain#*-} ;;
      *) break ;;
    esac
  done
  load "$plain" "$word"
done
# shellcheck disable=SC2086 # a list of paths
[ -z "$new" ] || mkdir -p $new
exit $status
