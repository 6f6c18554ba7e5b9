// What this browser remembers. Storage may be refused (private mode): then nothing is remembered, and nothing breaks.

export function recall(key, otherwise = null) {
  try {
    return localStorage.getItem(`gravity.${key}`) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export function remember(key, value) {
  try {
    if (value === null) localStorage.removeItem(`gravity.${key}`);
    else localStorage.setItem(`gravity.${key}`, value);
  } catch {
    // Nothing to do: the choice holds until the page is left.
  }
}
