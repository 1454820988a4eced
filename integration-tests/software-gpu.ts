import { existsSync } from 'node:fs';

/** The Vulkan device in software that Debian's chromium brings. It is slow, and right. */
export const SOFTWARE_GPU = '/usr/lib/chromium/vk_swiftshader_icd.json';
const LOADERS = ['/usr/lib/x86_64-linux-gnu/libvulkan.so.1', '/usr/lib/aarch64-linux-gnu/libvulkan.so.1'];

/** Why it cannot be used here, for a test's `skip`; false where it can. */
export const SOFTWARE_GPU_MISSING: string | false = !existsSync(SOFTWARE_GPU)
  ? `no ${SOFTWARE_GPU}, which comes with Debian's chromium`
  : !LOADERS.some((path) => existsSync(path)) && 'no libvulkan.so.1: install libvulkan1';
