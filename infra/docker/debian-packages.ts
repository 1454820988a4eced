/** A package of the distribution, as CycloneDX lists it. */
export interface DebianComponent {
  readonly 'bom-ref': string;
  readonly type: 'library';
  readonly name: string;
  readonly version: string;
  readonly purl: string;
}

/**
 * The packages of `lists`, paragraphs as dpkg keeps them in /var/lib/dpkg/status or, in images without dpkg, in status.d; `os` is
 * /etc/os-release. Removed packages, of which dpkg keeps the settings, are left out.
 */
export function debianPackages(lists: readonly string[], os: string): DebianComponent[] {
  const distribution = `${fieldOf(os, 'ID', '=')}-${fieldOf(os, 'VERSION_ID', '=')}`;
  return lists
    .flatMap((list) => list.split(/\n\n+/))
    .flatMap((paragraph) => {
      const [name, version, arch] = ['Package', 'Version', 'Architecture'].map((field) =>
        fieldOf(paragraph, field, ': '),
      );
      const status = fieldOf(paragraph, 'Status', ': ') ?? 'installed';
      if (name === undefined || version === undefined || !/\binstalled$/.test(status)) return [];
      const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${arch}&distro=${distribution}`;
      return [{ 'bom-ref': purl, type: 'library', name, version, purl } as const];
    })
    .sort((a, b) => (a.purl < b.purl ? -1 : 1));
}

const fieldOf = (text: string, name: string, sign: string): string | undefined =>
  text
    .split('\n')
    .find((line) => line.startsWith(name + sign))
    ?.slice(name.length + sign.length)
    .replaceAll('"', '')
    .trim();
