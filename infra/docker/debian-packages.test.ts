import assert from 'node:assert/strict';
import { test } from 'node:test';
import { debianPackages } from './debian-packages.ts';

const OS = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n';

test('packages are read from one list of dpkg or from many, without those that were removed', () => {
  const libc =
    'Package: libc6\nVersion: 2.36-9+deb12u10\nArchitecture: amd64\nDescription: GNU C\n Package: no field\n';
  const tzdata = 'Package: tzdata\nStatus: install ok installed\nVersion: 2025b-0\nArchitecture: all\n';
  const gone = 'Package: curl\nStatus: deinstall ok config-files\nVersion: 7\nArchitecture: amd64\n';
  const expected = [
    'pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64&distro=debian-12',
    'pkg:deb/debian/tzdata@2025b-0?arch=all&distro=debian-12',
  ];
  for (const lists of [[tzdata, libc], [`${tzdata}\n${gone}\n${libc}`]])
    assert.deepEqual(
      debianPackages(lists, OS).map(({ purl }) => purl),
      expected,
    );
});
