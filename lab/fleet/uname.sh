#!/bin/sh
# Prints the values of the node's /proc/sys/kernel; the real uname would ask this machine's kernel.
read -r s </proc/sys/kernel/ostype
read -r n </proc/sys/kernel/hostname
read -r r </proc/sys/kernel/osrelease
read -r v </proc/sys/kernel/version
read -r m </proc/sys/kernel/arch
o=GNU/Linux said=''

while getopts :asnrvmpio letter; do
  case $letter in
    a) said=snrvmo ;;
    p | i) said=${said}u ;;
    \?) echo "uname: the fleet's stub has no option $OPTARG" >&2; exit 1 ;;
    *) said=$said$letter ;;
  esac
done
: "${said:=s}"

line=''
add() {
  case $said in *"$1"*) line="$line${line:+ }$2" ;; esac
}
add s "$s"
add n "$n"
add r "$r"
add v "$v"
add m "$m"
add u unknown
add o "$o"
echo "$line"
