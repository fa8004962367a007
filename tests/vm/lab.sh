#!/bin/sh
# Builds the lab: a Debian virtual machine with a container engine, for testing on cgroup v2 whatever
# the machine's own kernel runs. `cargo xtask lab` calls this and keeps the result; a change to this
# file makes a new one.
#
#   lab.sh FOLDER    leaves root.ext4, vmlinuz and initrd.img in FOLDER (needs root, for debootstrap)
#
# The lab holds nothing of headcount. What a boot runs comes on a second disk: see init.sh.
set -eu

out=$1
# Empty is debootstrap's own default.
mirror=${HEADCOUNT_DEBIAN_MIRROR:-}
packages=ca-certificates,docker-cli,docker-compose,docker.io,iproute2,iptables,kmod,procps
tree=$out/tree

debootstrap --variant=minbase --include="$packages,linux-image-cloud-amd64" trixie "$tree" \
    ${mirror:+"$mirror"}

# The first program the guest runs: it finds the payload disk and leaves the rest to it.
cat >"$tree/sbin/lab-init" <<'END'
#!/bin/sh
mkdir -p /payload
mount -t ext4 -o ro /dev/vdb /payload && exec /payload/init.sh
echo "lab: no payload disk"
echo o >/proc/sysrq-trigger
END
chmod 755 "$tree/sbin/lab-init"
mkdir -p "$tree/payload"
echo lab >"$tree/etc/hostname"

cp "$tree"/boot/vmlinuz-* "$out/vmlinuz"
cp "$tree"/boot/initrd.img-* "$out/initrd.img"
rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/* "$tree"/boot/*

mke2fs -q -t ext4 -O ^has_journal -m 0 -d "$tree" "$out/root.ext4" 2G
rm -rf "$tree"
