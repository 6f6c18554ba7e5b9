// Light or dark before the first paint (a classic script in the head): the reader's choice, else the system's.
(() => {
  const root = document.documentElement;
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const chosen = () => {
    try {
      return localStorage.getItem('gravity.theme');
    } catch {
      return root.dataset.themeChoice;
    }
  };
  const apply = () => {
    const choice = chosen();
    root.dataset.themeChoice = choice === 'light' || choice === 'dark' ? choice : 'auto';
    root.dataset.theme = choice === 'light' || choice === 'dark' ? choice : dark.matches ? 'dark' : 'light';
  };
  apply();
  dark.addEventListener('change', apply);
  addEventListener('storage', apply);
  addEventListener('gravity:theme', apply);
})();
