#!/bin/sh
# The guest's PID 1, from the payload disk. It makes of the bare kernel a machine with cgroup v2 and
# a container engine, runs /payload/run.sh, says how that went on one last line that nothing else
# prints, and switches the machine off.
#
#   LAB END status=0
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C

finish() {
    echo "LAB END status=$1"
    sync
    echo o >/proc/sysrq-trigger
    while :; do sleep 1; done
}

wait_for() { # SECONDS COMMAND...: until the command succeeds
    left=$(($1 * 5))
    shift
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || return 1
        sleep 0.2
    done
}

mountpoint -q /proc || mount -t proc proc /proc
mountpoint -q /sys || mount -t sysfs sysfs /sys
mountpoint -q /dev || mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mountpoint -q /run || mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup

# Controllers go to children only from a group without processes, but for the root.
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
    echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
done

for module in overlay bridge br_netfilter veth nf_nat xt_MASQUERADE xt_addrtype xt_conntrack \
    iptable_nat iptable_filter nft_compat nft_chain_nat; do
    modprobe -q "$module" || echo "lab: no module $module"
done
ip link set lo up
hostname lab

echo "LAB kernel=$(uname -r) cpus=$(nproc) controllers=$(tr ' ' , </sys/fs/cgroup/cgroup.controllers)"

dockerd >/run/dockerd.log 2>&1 &
if ! wait_for 120 docker version; then
    tail -n 40 /run/dockerd.log
    echo "lab: dockerd did not come up"
    finish 125
fi
echo "LAB engine=$(docker version --format '{{.Server.Version}}') compose=$(docker compose version --short) uptime=$(cut -d' ' -f1 /proc/uptime)"

cd /payload || finish 125
sh ./run.sh
finish $?
