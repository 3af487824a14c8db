#!/bin/sh
# Stands in for kmod's rmmod: removes modules from /proc/modules and /sys/module, and the keys that came with them.
# As on a kernel, a module that another loaded module needs is in use.
read -r release </proc/sys/kernel/osrelease
modules=/lib/modules/$release
brings=/usr/share/nodeprep-fleet/modules
status=0

complain() {
  echo "rmmod: ERROR: $1" >&2
  status=1
}

users() { # NAME: the loaded modules that need it
  while IFS=: read -r path needs; do
    case "$needs " in */"$1".ko*) ;; *) continue ;; esac
    base=${path##*/}
    ! grep -q "^${base%%.ko*} " /proc/modules || printf '%s ' "${base%%.ko*}"
  done <"$modules/modules.dep"
}

for name; do
  if ! grep -q "^$name " /proc/modules; then
    complain "Module $name is not currently loaded"
  elif used=$(users "$name") && [ "$used" ]; then
    complain "Module $name is in use by: $used"
  else
    rest=$(grep -v "^$name " /proc/modules)
    echo "$rest" >/proc/modules
    rmdir "/sys/module/$name" 2>/dev/null
    [ ! -e "$brings/$name" ] || sed -n 's/^echo .* >\(\/proc\/sys\/.*\)$/\1/p' "$brings/$name" | xargs rm -f
  fi
done
exit $status
