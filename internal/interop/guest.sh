#!/bin/bash
# Init of the guest. Its root file system is the host's, read-only; $0's directory is shared and becomes /mnt. It runs
# the scripts that the host puts there, one after the other.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C
work=${0%/*}
# A fork costs up to 0.1 s in User-Mode Linux: one busybox does it all.
/bin/busybox mount -t proc proc /proc
/bin/busybox sh -c '
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts; mount -t devpts -o ptmxmode=666 devpts /dev/pts
mount -t hostfs -o "$0" none /mnt
while read m; do insmod "$m"; done </mnt/modules
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -o bind /mnt/ppp /etc/ppp
mkdir -p /run/sstpc /run/lock
[ -L /var/run ] || mount -o bind /run /var/run
[ -c /dev/ppp ] || mknod /dev/ppp c 108 0' "$work"
cd /mnt
ip -batch /mnt/net
mkfifo /tmp/nap; exec 8<>/tmp/nap
nap() { read -r -t "$1" -u 8; } # a sleep without a fork
export -f nap
: >/mnt/ready
for ((i = 1; ; i++)); do
  until [ -e "/mnt/$i.run" ]; do nap 0.05; done
  bash "/mnt/$i.run" >"/mnt/$i.out" 2>&1 </dev/null
  echo $? >"/mnt/$i.tmp"
  mv "/mnt/$i.tmp" "/mnt/$i.rc"
done
