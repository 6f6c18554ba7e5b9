// The list of events, refreshed now and then while it is looked at.
import { ServerClock } from './clock.js';
import { make, setText } from './dom.js';
import { eventPhase, plural } from './format.js';
import { getJson } from './http.js';
import { themeToggle } from './theme-toggle.js';

const REFRESH_MS = 15_000;
const clock = new ServerClock();
const list = document.getElementById('events');
const note = document.getElementById('note');

function item(event) {
  // The list may carry the times at its top level or as the board does, under `state`.
  let phase = eventPhase({ ...event, state: event.state ?? event }, clock.now());
  // Without the rows nothing is known of a recording's time; it has not ended, that is all.
  if (phase.phase === 'over') phase = { ...phase, phase: event.frozen ? 'frozen' : 'running', label: event.frozen ? 'Frozen' : 'Running', clock: '' };
  const state = make('span', { class: 'state', 'data-phase': phase.phase }, make('span', { class: 'state-dot', 'aria-hidden': 'true' }), phase.label);
  const teams = Number.isFinite(event.total_rows) ? make('span', { class: 'muted' }, plural(event.total_rows, 'team', 'teams')) : null;
  return make(
    'li',
    {},
    make(
      'a',
      { href: `/events/${encodeURIComponent(event.event)}` },
      make('span', { class: 'event-title', dir: 'auto' }, event.name || event.event),
      make('span', { class: 'event-facts' }, state, phase.clock ? make('span', { class: 'muted' }, phase.clock) : null, teams, make('span', { class: 'muted id' }, event.event)),
    ),
  );
}

async function show() {
  try {
    const answer = await getJson('/api/v1/events', { clock, fresh: true });
    const events = new Map();
    for (const event of answer.events ?? []) {
      if (typeof event?.event === 'string' && (event.view ?? 'public') === 'public') events.set(event.event, event);
    }
    const focused = document.activeElement?.getAttribute('href');
    list.replaceChildren(...[...events.values()].map(item));
    if (focused) list.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
    setText(note, events.size > 0 ? '' : 'No events yet. Set one up with “gravity apply”, or see one live with “gravity demo”.');
  } catch (error) {
    setText(note, `${error.message} Trying again in a moment.`);
  }
  setTimeout(show, REFRESH_MS * (0.8 + Math.random() * 0.4));
}

themeToggle(document.getElementById('theme'));
show();
