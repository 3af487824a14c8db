# shellcheck shell=sh
# shellcheck disable=SC2013,SC2015,SC2034,SC2086,SC2154,SC2174 # IFS is a newline where words are split; the rest comes from the other parts
# A snapshot: everything that a change is going to touch, as it was, written and flushed before the first change. A folder
# NUMBER.RUN holds copies of our files and a text, `snapshot`, one entry a line. Of lines about the same thing the first
# counts, also if they contradict each other; except a key after its nokey: it came with a module, and was set later.
#     file PATH (its copy lies beside) · absent PATH · folder PATH (was absent) · line PATH NUMBER TEXT (commented out)
#     key PATH VALUE · nokey PATH (was absent) · module NAME (was not loaded) · unloads NAME
#     until RUN (the first line of a merged one: the last run in it)
#     format NUMBER (of the whole snapshot; those before number 2 have none)
# A snapshot of a newer format, or with a word that is not known here, is neither read nor merged.
# It is written in pieces, each between the lines `more` and `end`, so that the rest of a power cut is recognized.
KEPT=10
FORMAT=2
ABOUT='format run verb by as profile until'
ITEMS='file absent folder line key nokey module unloads'

# afresh: forget all notes. The requests of a session share them ($2 is its mark).
afresh() {
  noted='
' news='' before='' copies='' taken='' watched='' asked='' unread='' loading='' at_first=''
}
[ "$noting" = "$2" ] || { noting=$2 && afresh; }

# resume: go on with the snapshot of this session under a new lock, unless another session has changed the node meanwhile.
resume() { { [ "$taken" ] && last_in "${taken%/*}" && [ "$last" = "$taken" ]; } || afresh; }

# note LINE: add a line, unless the snapshot has it, or one of the same kind about the same thing.
note() {
  item=${1#* }
  item="${1%% *} ${item%% *} "
  case $1 in 'line '*) item="$1
" ;; esac
  case $noted in *"
$1
"* | *"
$item"*) return ;; esac
  news="$news$1
"
}

# save PATH: note a file that is about to be written or removed. In a later pass the file is ours already.
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

# line PATH NUMBER TEXT: note a line of another owner's file that is about to be commented out.
line() {
  note "line $1"
  watched="$watched${1%% *}
"
}

# value PATTERN: note keys that are about to be set, or change together with those.
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

# module NAME: note a module that is about to be loaded, or a dependency of one.
module() {
  loading="$loading$1
"
}

# read_now PATHS: set $values to the keys as grep prints them, and $modules to the names of loaded modules if any is to be
# loaded: all by one grep, which reads whole files; the shell does not, see probe.sh.
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

# rescan: a scan without user and module index, which no change alters. The loaded modules (l) were read right after
# loading (read_now), if any were to be loaded.
rescan() {
  line=l
  for name in $wanted; do
    case $modules in *"
$name
"*) line="$line $name" ;; esac
  done
  [ ! "$loading" ] || say "$line"
  found
  configuration
}

# files_now: set $present to the list of the files that are to change.
files_now() {
  present=
  for each in $watched; do
    [ ! -e "$each" ] || present="$present$each
"
  done
  [ ! "$present" ] || present=$(exec ls -ldinL $present 2>/dev/null)
}

# look_over: note the requested keys, and the modules that are not loaded yet; those loaded by now came with ours.
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

# snapshot STORE RUN: write the new notes; if that fails, skip the rest of this request.
snapshot() {
  look_over
  [ "$news" ] || return 0
  if [ "$taken" ]; then
    before=changed
    write extend "$1" || refused=1
  else
    note "as ${SUDO_USER:-root}"
    files_now
    before=$present$values$modules # all that the session touches: tidy compares it at the end
    number "$1"
    taken=$1/$number.$2
    umask 022 # for /var/lib, should it not be there
    foresee "$1"
    { try snapshot "$1" new_folder "$1" "$taken" && write snapshot "$1"; } ||
      { rm -rf "$taken"; taken='' refused=1; }
  fi
}

# foresee STORE: one ls for all folders that are going to be written to, so that trusted needs no other.
foresee() {
  folders=
  for each in "$1/x" $watched; do
    existing "${each%/*}"
    folders="$folders$way
"
  done
  trusted $folders 2>/dev/null
}

# existing PATH: set $way to the last folder of a path that exists.
existing() {
  way=$1
  while [ "$way" ] && [ ! -d "$way" ]; do way=${way%/*}; done
  : "${way:=/.}"
}

# new_folder STORE FOLDER: the store must be root's alone, too.
new_folder() {
  existing "$1"
  trusted "$way" && exec mkdir -p -m 700 "$1" "$2"
}

# write VERB NAME: write the copies, flushed before the piece of the text that names them; see try.
write() {
  if [ "$copies" ]; then
    try "$1" "$2" exec cp -pP $copies "$taken/" || return
    copied=
    for each in $copies; do
      copied="$copied$taken/${each##*/}
"
    done
    flush $copied "$taken" || { refuse "$1" "$2" "sync has failed" && return 1; }
  fi
  umask 077
  printf 'more\n%send\n' "$news" 2>/dev/null >>"$taken/snapshot" || try "$1" "$2" once_more || return
  umask 022
  unflushed="$unflushed$taken/snapshot
$taken
$2
" noted=$noted$news news='' copies=''
}

# once_more: write again, for the message of cat; half a line may stand there already.
once_more() { printf '\nmore\n%send\n' "$news" | cat >>"$taken/snapshot"; }

# last_in STORE: set $last to the newest of its folders, if any.
last_in() {
  last=
  set +f
  for each in "$1"/[0-9]*.*; do [ ! -d "$each" ] || last=$each; done
  set -f
}

# number STORE: set $number to one above the last. Leftovers of killed sessions are removed.
number() {
  set +f
  for each in "$1"/new.*; do [ ! -d "$each" ] || rm -rf "$each"; done
  for each in "$1"/[0-9]*.*; do [ ! -d "$each" ] || [ -s "$each/snapshot" ] || rm -rf "$each"; done
  last_in "$1"
  number=${last##*/}
  number=1${number%%.*}
  [ "$last" ] || number=1000000
  number=$((number + 1)) number=${number#1}
}

# finish: end a change, however it ends. A change without effect leaves no snapshot, and the lock is given back unless
# another session has taken it from us.
finish() {
  [ "$held" ] || return 0
  [ ! "$unflushed$later" ] || flush $unflushed $later
  unflushed='' later=''
  holder_of "${held##*
}"
  if [ "$owner" = "$mine" ]; then
    tidy
    rm -f $held
  fi
  held=
}

# tidy: drop the snapshot of a change without effect; if a file was written there was one.
tidy() {
  if [ ! "$taken" ]; then :
  elif [ "$before" != changed ] && files_now && read_now "$asked" && [ "$before" = "$present$values$modules" ]; then
    forget "$taken"
    afresh
  else
    prune "${taken%/*}"
  fi
}

# prune STORE: merge the next snapshot into the oldest, so that the oldest always describes the node before our first
# change. Cut short at any point nothing is wrong: the next one is still there, and holds the same entries.
prune() {
  set +f
  set -- "$1"/[0-9]*.*
  set -f
  while [ $# -gt $KEPT ]; do
    oldest=$1
    (merge "$1" "$2") 2>/dev/null || break
    shift 2
    set -- "$oldest" "$@"
  done
}

# merge FOLDER NEXT: of a folder without a complete piece, the rest of a power cut, only the name stays. A copy that no
# line names does not count.
merge() {
  umask 077
  whole "$1/snapshot" || return
  case $kept in 'until '*) kept=${kept#*
} ;; esac
  noted="
$kept" news='' empty='' until="until ${2##*.}
"
  [ "$kept" ] || empty=1 until=
  known || return
  whole "$2/snapshot" && known || return
  for each in $kept; do
    case "$empty $ITEMS " in 1* | *" ${each%% *} "*) note "$each" ;; esac
  done
  for each in $news; do
    case $each in 'file '*)
      rm -f "$1/${each##*/}"
      cp -pP "$2/${each##*/}" "$1/" || return
      ;;
    esac
  done
  set +f
  rm -f "$1/snapshot.new"
  put "more
$until${noted#?}${news}end
" "$1/snapshot.new" || return
  flush "$1"/*
  set -f
  mv -f "$1/snapshot.new" "$1/snapshot" && flush "$1" && forget "$2"
}

# known: succeed if this version knows all lines of $kept.
known() {
  for each in $kept; do
    case $each in 'format '*) [ "${each#* }" -le $FORMAT ] 2>/dev/null || return ;; esac
    case " $ABOUT $ITEMS " in *" ${each%% *} "*) ;; *) return 1 ;; esac
  done
}

# whole FILE: set $kept to its lines, without a piece that was cut short. Outside of pieces only known words count.
whole() {
  kept='' added='' more=
  lines=$(cat "$1") || return
  for each in $lines; do
    case $more$each in
      more | +more) more=+ added='' ;;
      +end) kept=$kept$added more= ;;
      +*) added="$added$each
" ;;
      *) case " $ABOUT $ITEMS " in *" ${each%% *} "*) kept="$kept$each
" ;; esac ;;
    esac
  done
}

# forget FOLDER: remove a snapshot. It is renamed first, for removing it takes more than one step.
forget() {
  for entry in $(cat "$1/snapshot"); do
    path=${entry#* }
    case $entry in 'file '* | 'absent '*) sweep "$path" ;; 'line '*) sweep "$(readlink -f "${path%% *}")" ;; esac
  done
  gone=${1%/*}/new.$mark
  mv "$1" "$gone" && rm -rf "$gone"
  rmdir "${1%/*}" 2>/dev/null || :
}
