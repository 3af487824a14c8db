# shellcheck shell=sh
# shellcheck disable=SC2154 # b comes from boot.sh
# Run one request: the lines of its data in order, each an instruction; then the next request, as this or another user.

mark=$2
IFS='
'
set -f
trap '' HUP PIPE

# shellcheck disable=SC2034
limit='' late='' # see apply.sh
refused= # 1 when another has the lock, or no snapshot could be taken
together= # 1 when all modules were loaded at once, silently
reading= # 1 when a request only reads, which ends with the connection; see answer
quiet= # 1 when sysctl -p has set all keys silently; no when they must be set one by one
# shellcheck disable=SC2034 # probe.sh's and kubeadm.sh's
text='' reply='' looked='' wanted='' patterns='' listeners=''
# The lines of the request without the script's own. Cutting those off with ${b#*"$mark"} took dash 22 ms, 90 with all parts.
# shellcheck disable=SC2086,SC2154 # split into lines, which is what IFS and set -f above are for; script.py counts
set -- $b
shift "$own"
# shellcheck disable=SC2034 # kubeadm.sh reads some
for instruction; do
  argument=${instruction#* }
  case $refused$instruction in 1boot\ * | 1scan | 1rescan | 1finish) ;; 1*) continue ;; esac
  case $instruction in # the frequent ones first
    '|'*) text="$text${instruction#|}
" ;;
    'boot '*) boot=$argument ;;
    'look '*) look "$argument" ;;
    'value '*) value "$argument" ;;
    'set '*) [ "$quiet" = 1 ] || try set "${argument%% *}" set_key "${argument%% *}" "${argument#* }" ;;
    'want '*) want "${argument%% *}" "${argument#* }" ;;
    'unit '*) unit "$argument" ;;
    'there '*) there "$argument" ;;
    'find '*) find_path "$argument" ;;
    'options '*) options=$argument ;;
    'listeners '*) listeners=$argument ;;
    scan) if [ "$session" = "$mark" ]; then scan 2>/dev/null; else reading=1; fi ;; # lock.sh has set it
    rescan) rescan 2>/dev/null ;;
    finish) finish ;;
    'within '*) within "$argument" ;;
    'unlock '*) unlock "$argument" ;;
    'lock '*) lock "${argument%% *}" "${argument#* }" ;;
    'note '*) note "$argument" ;;
    'save '*) save "$argument" ;;
    'line '*) line "$argument" ;;
    'module '*) module "$argument" ;;
    'snapshot '*) snapshot "${argument%% *}" "${argument#* }" ;;
    'file '*) text= ;;
    'keep '*) stage "$argument" ;;
    placed) placed ;;
    'disable '*)
      path=${argument%% *} rest=${argument#* }
      try disable "$path:${rest%% *}" disable "$path" "${rest%% *}" "${rest#* }"
      ;;
    'history '*) history "$argument" ;;
    'newest '*) newest "$argument" ;;
    'same '*) same "${argument%% *}" "${argument#* }" ;;
    'marked '*) marked "$argument" ;;
    'restore '*) try restore "${argument%% *}" restore "${argument%% *}" "${argument#* }" ;;
    'remove '*) try remove "$argument" remove "$argument" ;;
    'enable '*)
      path=${argument%% *} rest=${argument#* }
      try enable "$path:${rest%% *}" enable "$path" "${rest%% *}" "${rest#* }"
      ;;
    'unload '*) unload "$argument" ;;
    'rmdir '*) rmdir "$argument" 2>/dev/null ;; # a folder that others use by now stays
    'forget '*) try forget "$argument" forget "$argument" ;;
    'loads '*) loads "$argument" ;;
    'load '*) [ "$together" ] || try load "$argument" limited modprobe "$argument" ;;
    'sysctl '*) [ "$quiet" = no ] || { try sysctl "$argument" limited sysctl -p "$argument" && quiet=1; } || quiet=no ;;
  esac
done

# answer: the reply to a request that only reads. It runs beside us, and ends with the program that it waits for.
answer() {
  trap 'kill "$!" 2>/dev/null; exit' TERM
  scan 2>/dev/null
  echo "$mark end"
}
if [ "$reading" ]; then answer & else echo "$mark end"; fi

# What comes next: `again SIZE`, `sudo SIZE`, `password SIZE`; the end of input ends us.
if ! IFS=' ' read -r how size; then
  [ ! "$reading" ] || kill "$!" 2>/dev/null
  exit 0
fi
[ ! "$reading" ] || wait "$!"
case $how in
  again)
    set -- "$size" "$mark"
    eval "$boot"
    ;;
  sudo) exec sudo -n -- sh -c "$boot" nodeprep "$size" "$mark" "$mark ready" ;;
  password) exec sudo -S -p "$mark password" -- sh -c "$boot" nodeprep "$size" "$mark" "$mark ready" ;;
esac
