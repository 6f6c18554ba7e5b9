// The theme button: system, light, dark, and round again.
import { remember } from './prefs.js';

const NEXT = { auto: 'light', light: 'dark', dark: 'auto' };
const SAID = { auto: 'system', light: 'light', dark: 'dark' };

export function themeToggle(button) {
  const root = document.documentElement;
  const show = () => {
    const label = `Theme: ${SAID[root.dataset.themeChoice] ?? 'system'}`;
    button.setAttribute('aria-label', label);
    button.title = label;
  };
  button.addEventListener('click', () => {
    const next = NEXT[root.dataset.themeChoice] ?? 'light';
    remember('theme', next === 'auto' ? null : next);
    root.dataset.themeChoice = next;
    dispatchEvent(new Event('gravity:theme'));
    show();
  });
  show();
}
