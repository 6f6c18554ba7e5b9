// Finds teams by name, organization or id. Pure: given rows, gives matches.

// Letters that Unicode does not decompose, but that people type without their strokes.
const PLAIN = { ł: 'l', ø: 'o', đ: 'd', ð: 'd', þ: 'th', ß: 'ss', æ: 'ae', œ: 'oe', ı: 'i' };

/** Lower case, no accents, single spaces: what is compared. */
export function fold(text) {
  return String(text ?? '')
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[łøđðþßæœı]/g, (letter) => PLAIN[letter])
    .replace(/\s+/g, ' ')
    .trim();
}

export class SearchIndex {
  #teams = new Map();

  get size() {
    return this.#teams.size;
  }

  clear() {
    this.#teams.clear();
  }

  /** Takes a row that stands at `index`; the newest knowledge of a team counts. */
  add(row, index) {
    const known = this.#teams.get(row.team);
    if (known && known.name === row.name && known.organization === row.organization) {
      known.index = index;
      return;
    }
    const name = fold(row.name ?? row.team);
    const organization = fold(row.organization);
    this.#teams.set(row.team, {
      team: row.team,
      name: row.name ?? row.team,
      organization: row.organization,
      index,
      folded: { id: fold(row.team), name, text: ` ${name} ${organization} ${fold(row.team)}` },
    });
  }

  /** At most `limit` teams that hold every word of `query`: ids and beginnings first, then by place on the board. */
  find(query, limit = 30) {
    const wanted = fold(query);
    if (wanted === '') return [];
    const words = wanted.split(' ');
    const found = [];
    for (const team of this.#teams.values()) {
      const { id, name, text } = team.folded;
      if (!words.every((word) => text.includes(word))) continue;
      let quality = 3;
      if (id === wanted) quality = 0;
      else if (name.startsWith(wanted)) quality = 1;
      else if (words.every((word) => text.includes(` ${word}`))) quality = 2;
      found.push([quality, team.index, team]);
    }
    found.sort((a, b) => a[0] - b[0] || a[1] - b[1] || (a[2].team < b[2].team ? -1 : 1));
    return found.slice(0, limit).map(([, , team]) => team);
  }
}
