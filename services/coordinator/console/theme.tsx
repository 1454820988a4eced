import { useEffect, useLayoutEffect, useState } from 'preact/hooks';

const KEY = 'rondo-theme';
const THEMES = ['auto', 'dark', 'light'] as const;
type Theme = (typeof THEMES)[number];

const kept = (): Theme => THEMES.find((theme) => theme === localStorage.getItem(KEY)) ?? 'auto';

/** Told when colours change, by the button or by the system. */
export function useThemeTurns(): number {
  const [turns, setTurns] = useState(0);
  useEffect(() => {
    const turn = () => setTurns((before) => before + 1);
    const system = matchMedia('(prefers-color-scheme: dark)');
    system.addEventListener('change', turn);
    addEventListener('rondo-theme', turn);
    return () => {
      system.removeEventListener('change', turn);
      removeEventListener('rondo-theme', turn);
    };
  }, []);
  return turns;
}

/** As the system has it, or dark or light. */
export function ThemeButton() {
  const [theme, setTheme] = useState(kept);
  useLayoutEffect(() => {
    document.documentElement.style.colorScheme = theme === 'auto' ? 'light dark' : theme;
    localStorage.setItem(KEY, theme);
    dispatchEvent(new Event('rondo-theme'));
  }, [theme]);
  return (
    <button
      type="button"
      class="theme"
      onClick={() => setTheme(THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]!)}
    >
      Theme: {theme}
    </button>
  );
}
