# shellcheck shell=sh
# shellcheck disable=SC2013,SC2015,SC2034,SC2086,SC2154,SC2174 # IFS is a newline where words are split; the rest comes from the other parts
# What a change is going to touch, as it was, written down before the first write: a folder NUMBER.RUN with copies of
# our files and a text, `snapshot`, one thing a line. Of two lines about the same thing the first counts.
#     file PATH (its copy lies beside) · absent PATH · folder PATH (was not there) · line PATH NUMBER TEXT (taken over)
#     key PATH VALUE · nokey PATH (was not there) · module NAME (was not loaded) · unloads NAME
# What is added later stands between the lines `more` and `end`, so that what a power cut left of it is known for that.
KEPT=10

[ "$noting" = "$2" ] || noting=$2 noted='
' news='' before='' copies='' taken='' watched='' asked='' unread='' loading='' at_first=''

# note LINE: unless the snapshot has a line about that already.
note() {
  item=${1#* }
  case $1 in 'line '*) item=$1 ;; *) item="${1%% *} ${item%% *}" ;; esac
  case $noted in *"
$item
"* | *"
$item "*) return ;; esac
  noted="$noted$1
" news="$news$1
"
}

# save PATH: a file that is about to be written or removed. One of a later pass is ours already.
save() {
  case $noted in *"
file $1
"* | *"
absent $1
"*) return ;; esac
  watched="$watched$1
"
  if [ -f "$1" ] || [ -L "$1" ]; then
    note "file $1"
    copies="$copies$1
"
  elif [ ! -e "$1" ]; then
    [ -d "${1%/*}" ] || note "folder ${1%/*}"
    note "absent $1"
  fi
}

# line PATH NUMBER TEXT: of someone else's file, about to be commented out.
line() {
  note "line $1"
  watched="$watched${1%% *}
"
}

# value PATTERN: keys that are about to be set, or are changed along with those.
value() {
  case $1 in *'*'*) set +f ;; esac
  for path in $1; do
    if [ -e "$path" ]; then
      asked="$asked$path
" unread="$unread$path
"
    else
      note "nokey $path"
    fi
  done
  set -f
}

# module NAME: about to be loaded, with what it needs.
module() {
  loading="$loading$1
"
}

# read_now PATHS: $values are the keys as grep shows them, and $modules the names of what is loaded, if any is to be: all
# by one grep, which reads whole files; the shell does not, see probe.sh.
read_now() {
  values='' modules='
'
  [ "$1$loading" ] || return 0
  all=$(exec grep -snH '' $1 ${loading:+/proc/modules})
  values=${all%%/proc/modules:*} # not put together line by line: there may be thousands of interfaces
  [ "$loading" ] || return 0
  for each in $all; do
    case $each in /proc/modules:*) each=${each#*:*:} modules="$modules${each%% *}
" ;; esac
  done
}

# files_now: what is there of all files that are to change.
files_now() {
  present=
  for each in $watched; do
    [ ! -e "$each" ] || present="$present$each
"
  done
  [ ! "$present" ] || present=$(exec ls -ldinL $present 2>/dev/null)
}

# Notes the keys asked for and the modules that are not loaded yet; those that are by now came along with ours.
look_over() {
  read_now "$unread"
  unread=
  for each in $values; do
    case $each in *:1:*) note "key ${each%%:1:*} ${each#*:1:}" ;; esac
  done
  arrived=$loading${at_first:+$modules}
  : "${at_first:=${loading:+$modules}}"
  for each in $arrived; do
    case $at_first in *"
$each
"*) ;; *) note "module $each" ;; esac
  done
}

# snapshot STORE RUN: writes what was noted, complete or not at all.
snapshot() {
  look_over
  [ "$news" ] || return 0
  if [ ! "$taken" ]; then
    note "as ${SUDO_USER:-root}"
    files_now
    before=$present$values$modules # all that the session touches: has anything changed at its end?
    number "$1"
    taken=$1/$number.$2
    try snapshot "$1" create "$1" "$taken" || { taken='' refused=1; return; }
  else
    before=changed
    { [ ! "$copies" ] && printf %s "more
${news}end
" 2>/dev/null >>"$taken/snapshot" && flush "$taken/snapshot"; } || try extend "$1" rewrite "$taken" || refused=1
  fi
  [ "$refused" ] || news='' copies=''
}

# number STORE: one above the last.
number() {
  number=1000000
  set +f
  for each in "$1"/[0-9]*.*; do
    [ ! -d "$each" ] || { number=${each##*/} && number=1${number%%.*}; }
  done
  set -f
  number=$((number + 1)) number=${number#1}
}

create() {
  fresh=$1/new.$mark
  set +f
  for each in "$1"/new.*; do [ ! -d "$each" ] || rm -rf "$each"; done # of a session that was killed
  umask 022 # for /var/lib, should it not be there
  mkdir -p -m 700 "$1" "$fresh" && umask 077 && write "$fresh" "$fresh/snapshot" && mv "$fresh" "$2" && flush "$1" ||
    { rm -rf "$fresh" && false; }
}

# write FOLDER FILE: the copies and the text, on the disk.
write() {
  [ ! "$copies" ] || cp -pP $copies "$1/" || return
  put "${noted#?}" "$2" || return
  set +f
  flush "$1"/*
}

rewrite() {
  umask 077
  write "$1" "$1/snapshot.new" && mv -f "$1/snapshot.new" "$1/snapshot" && flush "$1"
}

# The end of a session, however it ends: what changed nothing leaves no snapshot, and the lock is given back. Where a file
# was written nothing has to be compared.
finish() {
  if [ "$taken" ]; then
    if [ "$before" != changed ] && files_now && read_now "$asked" && [ "$before" = "$present$values$modules" ]; then
      forget "$taken"
    else
      prune "${taken%/*}"
    fi
    taken=
  fi
  release
}

# prune STORE: the oldest learns what only the next one knows, and so tells for good how the node was before we came.
# Cut short at any point it has told nothing wrong: the next one is still there, and says the same once more.
prune() {
  set +f
  set -- "$1"/[0-9]*.*
  while [ $# -gt $KEPT ]; do
    oldest=$1
    (merge "$1" "$2") 2>/dev/null || break
    shift 2
    set -- "$oldest" "$@"
  done
  set -f
}

merge() {
  umask 077
  whole "$1/snapshot"
  noted="
$kept"
  whole "$2/snapshot"
  for each in $kept; do
    case ${each%% *} in file | absent | folder | line | key | nokey | module | unloads) note "$each" ;; esac
  done
  for each in "$2"/*; do
    [ -e "$1/${each##*/}" ] || [ -L "$1/${each##*/}" ] || cp -pP "$each" "$1/" || return
  done
  copies=
  rewrite "$1" && forget "$2"
}

# whole FILE: $kept is its lines, without an addition that was cut short.
whole() {
  kept='' added='' more=
  for each in $(cat "$1"); do
    case $more$each in
      more | +more) more=+ added='' ;;
      +end) kept=$kept$added more= ;;
      +*) added="$added$each
" ;;
      *) kept="$kept$each
" ;;
    esac
  done
}

# forget FOLDER: a snapshot that is not needed any more. First out of sight, for removing it takes more than one step.
forget() {
  for entry in $(cat "$1/snapshot"); do
    path=${entry#* }
    case $entry in 'file '* | 'absent '*) sweep "$path" ;; 'line '*) sweep "$(readlink -f "${path%% *}")" ;; esac
  done
  gone=${1%/*}/new.$mark
  mv "$1" "$gone" && rm -rf "$gone"
  rmdir "${1%/*}" 2>/dev/null || :
}
