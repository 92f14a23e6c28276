#!/bin/bash
# The first process of a machine after docker-init: the disk, the ports, then the engine, again whenever it ends.
# Arguments: the engine's socket, and the TCP ports that are published on the machine's own loopback address.
set -u
socket=$1
shift

disk=/var/lib/docker
if [ ! -e "$disk/.persistence-machine" ]; then
  if [ -e /snapshot/complete ]; then cp -a /snapshot/root/. "$disk/"; fi
  touch "$disk/.persistence-machine"
fi

# What comes to such a port from outside goes where the engine listens for it.
for port; do
  iptables -t nat -A PREROUTING -i eth0 -p tcp --dport "$port" -j DNAT --to-destination "127.0.0.1:$port"
done

if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  # cgroup v2: a group that has groups below it may hold no process itself.
  mount -o remount,rw /sys/fs/cgroup
  mkdir -p /sys/fs/cgroup/init
  xargs -rn1 </sys/fs/cgroup/cgroup.procs >/sys/fs/cgroup/init/cgroup.procs 2>/dev/null || :
  sed -e 's/ / +/g' -e 's/^/+/' </sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control
  groups=()
else
  # cgroup v1: below the machine's own group, which the outer engine removes with all that is in it.
  groups=(--cgroup-parent "$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)")
fi

engine='' stopping=''
trap 'stopping=yes; [ -z "$engine" ] || kill -TERM "$engine" 2>/dev/null' TERM
while [ -z "$stopping" ]; do
  rm -f /run/docker.pid "$socket"
  dockerd -H unix:///run/docker.sock -H "unix://$socket" "${groups[@]}" >>/var/log/docker.log 2>&1 &
  engine=$!
  while kill -0 "$engine" 2>/dev/null; do wait "$engine"; done
  # An engine that cannot start is not started for ever as fast as it ends.
  [ -n "$stopping" ] || sleep 0.2
done
