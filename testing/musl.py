"""A root like that of `python:3.13-alpine`: musl, busybox, and CPython built from Debian's source packages.

`python3 -m testing.musl` prints the path of its interpreter, for which it installs musl on this machine.
"""

import shlex

from testing import packages
from testing.roots import Root

RECIPE = """
set -eu
cd /tmp
fetch() {
    sed -n "s/^deb /deb-src /; s/ bookworm / $1 /p" /etc/apt/sources.list >/etc/apt/sources.list.d/sources.list
    shift
    apt-get -qq update
    apt-get -qq source --download-only "$@"
}
fetch bookworm zlib bzip2 libffi openssl
fetch trixie python3.13
for archive in *.orig.tar.*z*; do case $archive in *.asc) ;; *) tar -xf "$archive" ;; esac; done

# Asked for the platform, gcc says one with glibc, and configure wants to hear its own answer or none.
echo '#!/bin/sh
[ "$1" = --print-multiarch ] || exec musl-gcc "$@"' >/usr/local/bin/cc
chmod +x /usr/local/bin/cc
export CC=/usr/local/bin/cc CFLAGS='-O1 -fPIC' MAKEFLAGS="-s -j$(nproc)"
needed=/tmp/needed
(cd zlib-* && ./configure --static --prefix=$needed && make install)
(cd bzip2-* && make CC="$CC" CFLAGS="$CFLAGS" libbz2.a && cp libbz2.a $needed/lib && cp bzlib.h $needed/include)
options="--disable-shared --disable-docs --disable-exec-static-tramp"
(cd libffi-* && ./configure $options --prefix=$needed && make install)
options="no-shared no-async no-tests no-legacy no-engine no-dso --libdir=lib --openssldir=/etc/ssl"
kernel="-idirafter /usr/include -idirafter /usr/include/$(uname -m)-linux-gnu"
(cd openssl-* && ./config $options $kernel --prefix=$needed && make install_dev)

cd /tmp/Python-3.*
echo '*disabled*
_lzma _sqlite3 _tkinter _curses _curses_panel _dbm _gdbm _uuid readline' >Modules/Setup.local
./configure --prefix=/usr/local --disable-test-modules --with-openssl=$needed \\
    CPPFLAGS=-I$needed/include LDFLAGS=-L$needed/lib \\
    LIBFFI_CFLAGS=-I$needed/include LIBFFI_LIBS="-L$needed/lib -lffi"
make
strip python
make altbininstall sharedinstall DESTDIR=/image
rm -r Lib/test Lib/idlelib Lib/tkinter Lib/turtledemo
cp -r Lib/. "$(cat pybuilddir.txt)"/_sysconfigdata_*.py /image/usr/local/lib/python3.13
cd /image
ln -s python3.13 usr/local/bin/python3
ln -s python3.13 usr/local/bin/python
mkdir -p bin dev etc home lib proc root run sbin sys tmp usr/bin usr/sbin var/tmp
chmod 1777 tmp var/tmp
cp /lib/ld-musl-*.so.1 lib
usr/local/bin/python3 -m compileall -q usr/local/lib/python3.13
cp "$(command -v busybox)" bin
for applet in $(bin/busybox --list); do [ -e "bin/$applet" ] || ln -s /bin/busybox "bin/$applet"; done
echo 'root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/:/sbin/nologin' >etc/passwd
echo 'root:x:0:
nobody:x:65534:' >etc/group
"""

BUILDS_WITH = ("gcc", "make", "linux-libc-dev", "musl-tools", "busybox-static", "xz-utils", "bzip2")

MUSL = Root("bookworm", BUILDS_WITH, hooks=(f'chroot "$1" sh -c {shlex.quote(RECIPE)} >&2',), part="/image")


def main() -> None:
    """Have the interpreter, and print where it is."""
    packages.provide("musl-gcc", "musl-tools")
    print(MUSL.folder() / "usr/local/bin/python3")


if __name__ == "__main__":
    main()
