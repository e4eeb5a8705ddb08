#!/bin/sh
# Installs the Debian packages of packaging/peers.txt that are not there yet, as root. It starts none of their daemons and removes no package.
set -eu
cd "$(dirname "$0")"
unpacked=/var/cache/saslauthd-py/peers

missing=
for package in $(awk -v dir="$unpacked/" '!/^#/ && index($2, dir) != 1 { print $3 }' peers.txt | sort -u); do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
packed=
for package in $(awk -v dir="$unpacked/" '!/^#/ && index($2, dir) == 1 { print $3 }' peers.txt | sort -u); do
	[ -d "$unpacked/$package" ] || packed="$packed $package"
done
[ -n "$missing$packed" ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "install-peers: no Debian here; install by hand what these Debian packages hold:$missing$packed" >&2
	exit 69
fi
if [ "$(id -u)" != 0 ]; then
	echo "install-peers: not root; run as root: $PWD/install-peers.sh (it installs$missing$packed)" >&2
	exit 77
fi

# The policy that invoke-rc.d and deb-systemd-invoke ask. One that is there already is kept, and comes back whatever happens.
policy=/usr/sbin/policy-rc.d
kept=$policy.kept-by-install-peers
scratch=
put_back() {
	[ -z "$scratch" ] || rm -rf "$scratch"
	if [ -e "$kept" ]; then mv -f "$kept" "$policy"; else rm -f "$policy"; fi
}
if [ -e "$policy" ] && ! grep -q install-peers "$policy"; then mv -f "$policy" "$kept"; fi
trap put_back EXIT
trap 'exit 130' HUP INT TERM
printf '#!/bin/sh\n# install-peers: starts nothing while it runs\nexit 101\n' >"$policy"
chmod 755 "$policy"

export DEBIAN_FRONTEND=noninteractive
case "$missing " in
*' postfix '*) echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections ;;
esac
case "$missing " in
*' slapd '*) echo 'slapd slapd/no_configuration boolean true' | debconf-set-selections ;;
esac
echo "install-peers: installing$missing$packed"
apt() {
	apt-get -qq -o DPkg::Lock::Timeout=300 -o APT::Sandbox::User=root "$@" >/dev/null
}
install() {
	# shellcheck disable=SC2086 # a list of package names
	[ -z "$missing" ] || apt install -y --no-install-recommends --no-remove $missing
}
install 2>/dev/null || { apt update && install; }

[ -n "$packed" ] || exit 0
case "$packed " in
*' exim4-daemon-heavy '*) # whom it becomes is compiled in
	getent passwd Debian-exim >/dev/null || useradd --system --no-create-home --home-dir /var/spool/exim4 --shell /usr/sbin/nologin Debian-exim
	;;
esac
umask 022
mkdir -p "$unpacked"
scratch=$(mktemp -d "$unpacked/.new.XXXXXX")
cd "$scratch"
# Its files in a directory of their own, none of them setuid, and what they are linked with; not the packages that make it a service.
unpack() {
	rm -rf ./*
	apt download "$1" && mkdir files && dpkg-deb -x "$1"_*.deb files && chmod -R u-s,g-s files || return
	needs=$(dpkg-deb -f "$1"_*.deb Depends | tr , '\n' | grep -v -e '^ *exim4-base' -e debconf | paste -s -d ,)
	apt satisfy -y --no-install-recommends --no-remove "$needs" && mv files "$unpacked/$1"
}
for package in $packed; do
	unpack "$package" 2>/dev/null || { apt update && unpack "$package"; }
done
