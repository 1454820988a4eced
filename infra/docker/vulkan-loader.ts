import { execFileSync } from 'node:child_process';
import { globSync, rmSync } from 'node:fs';

/** In a build: NVIDIA's images of CUDA lack what WebGPU needs beside the driver, a Vulkan loader and the X libraries that the driver is linked to. */
const PACKAGES = ['libvulkan1', 'libx11-6', 'libxext6'];

if (globSync('/usr/lib/*/libvulkan.so.1').length === 0) {
  const apt = (...args: string[]) => execFileSync('apt-get', args, { stdio: 'inherit' });
  apt('update');
  apt('install', '--yes', '--no-install-recommends', ...PACKAGES);
  rmSync('/var/lib/apt/lists', { recursive: true });
}
