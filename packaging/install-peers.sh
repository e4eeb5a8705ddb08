#!/bin/sh
# Installs the Debian packages of packaging/peers.txt that are not there yet, as root. It starts none of their daemons and removes no package.
set -eu
cd "$(dirname "$0")"

missing=
for package in $(awk '!/^#/ { print $3 }' peers.txt | sort -u); do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "install-peers: no Debian here; install by hand what these Debian packages hold:$missing" >&2
	exit 69
fi
if [ "$(id -u)" != 0 ]; then
	echo "install-peers: not root; run as root: $PWD/install-peers.sh (it installs$missing)" >&2
	exit 77
fi

# The policy that invoke-rc.d and deb-systemd-invoke ask. One that is there already is kept, and comes back whatever happens.
policy=/usr/sbin/policy-rc.d
kept=$policy.kept-by-install-peers
put_back() {
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
echo "install-peers: installing$missing"
install() {
	# shellcheck disable=SC2086 # a list of package names
	apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends --no-remove $missing >/dev/null
}
install 2>/dev/null || { apt-get -qq update && install; }
