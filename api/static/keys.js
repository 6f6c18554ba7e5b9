// Single-key shortcuts of the page. They can be switched off (WCAG 2.1.4), and never act while something is typed.
import { recall, remember } from './prefs.js';

/** `actions`: key -> function. `toggle` is the checkbox that switches them. */
export function shortcuts(actions, toggle) {
  toggle.checked = recall('keys', 'on') === 'on';
  toggle.addEventListener('change', () => remember('keys', toggle.checked ? null : 'off'));
  document.addEventListener('keydown', (event) => {
    if (!toggle.checked || event.altKey || event.ctrlKey || event.metaKey || event.defaultPrevented) return;
    if (event.target.closest?.('input, select, textarea, dialog')) return;
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}
