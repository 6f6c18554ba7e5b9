//! The hand-written loop: one thread, hash maps, nothing durable.

use foldhash::fast::RandomState;
use gravity_events::board::Cell;
use gravity_events::{Body, Id, codec, natural_cmp};
use gravity_ingest::log::Entry;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry as Slot;
use smallvec::SmallVec;

use crate::standings::{self, Standing};

type Map<K, V> = HashMap<K, V, RandomState>;

#[derive(Clone, Copy, PartialEq)]
enum Effect {
    Pending,
    Nothing,
    Rejected,
    Accepted,
}

#[derive(Default)]
struct Attempt {
    /// Team and problem; none: a judgement came first.
    at: Option<(u32, u32)>,
    time_ms: i64,
    id: Id,
    verdict: Option<(u64, u64, Effect)>,
}

#[derive(Clone, Default)]
struct Work {
    /// Attempts by (time, id).
    attempts: SmallVec<[u32; 4]>,
    judged: u32,
    pending: u32,
    solved_ms: Option<i64>,
    rejected: u32,
}

#[derive(Default)]
struct Team {
    id: Id,
    work: Vec<Work>,
    /// Solved (more first), penalty, minute of the last solve.
    key: (std::cmp::Reverse<u32>, i64, i64),
}

/// The state of the loop.
#[derive(Default)]
pub struct Loop {
    /// Records so far.
    pub records: u64,
    seen: Map<u128, u64>,
    problems: Map<(Id, Id), u32>,
    problem_ids: Vec<Id>,
    teams: Map<(Id, Id), u32>,
    rows: Vec<Team>,
    submissions: Map<(Id, Id), u32>,
    attempts: Vec<Attempt>,
}

impl Loop {
    /// Takes one record; says whether it counted.
    pub fn take(&mut self, entry: &Entry) -> bool {
        self.records += 1;
        let Ok((record, identity)) = codec::decode_full(&entry.value) else { return false };
        match self.seen.entry(identity.id) {
            Slot::Occupied(_) => return false,
            Slot::Vacant(v) => v.insert(identity.data),
        };
        let Some(event) = record.event else { return false };
        match record.body {
            Body::ProblemPublished(p) => {
                let next = self.problem_ids.len() as u32;
                if let Slot::Vacant(v) = self.problems.entry((event, p.problem.clone())) {
                    v.insert(next);
                    self.problem_ids.push(p.problem);
                }
            }
            Body::TeamRegistered(t) => {
                let next = self.rows.len() as u32;
                if let Slot::Vacant(v) = self.teams.entry((event, t.team.clone())) {
                    v.insert(next);
                    self.rows.push(Team { id: t.team, ..Team::default() });
                }
            }
            Body::SubmissionReceived(s) => {
                let (Some(team), Some(problem)) =
                    (self.teams.get(&(event.clone(), s.team)), self.problems.get(&(event.clone(), s.problem)))
                else {
                    return true;
                };
                let (team, problem) = (*team, *problem);
                let at = self.attempt(event, s.submission.clone());
                let attempt = &mut self.attempts[at as usize];
                (attempt.at, attempt.time_ms) = (Some((team, problem)), s.contest_time_ms.unwrap_or(0));
                attempt.id = s.submission;
                self.place(team, problem, at);
                self.score(team, problem);
            }
            Body::JudgementRecorded(j) => {
                let at = self.attempt(event, j.submission);
                let attempt = &mut self.attempts[at as usize];
                let newer = (j.revision, entry.position.offset);
                if attempt.verdict.is_none_or(|(r, o, _)| (r, o) < newer) {
                    let effect = match j.judgement_type.as_deref() {
                        None | Some("JE") => Effect::Pending,
                        Some("AC") => Effect::Accepted,
                        Some("CE") => Effect::Nothing,
                        Some(_) => Effect::Rejected,
                    };
                    attempt.verdict = Some((newer.0, newer.1, effect));
                    if let Some((team, problem)) = attempt.at {
                        self.score(team, problem);
                    }
                }
            }
            _ => {}
        }
        true
    }

    fn attempt(&mut self, event: Id, submission: Id) -> u32 {
        let next = self.attempts.len() as u32;
        *self.submissions.entry((event, submission)).or_insert_with(|| {
            self.attempts.push(Attempt::default());
            next
        })
    }

    fn place(&mut self, team: u32, problem: u32, at: u32) {
        let attempts = &self.attempts;
        let key = |n: u32| (attempts[n as usize].time_ms, &attempts[n as usize].id);
        let row = &mut self.rows[team as usize];
        row.work.resize_with(self.problem_ids.len().max(row.work.len()), Work::default);
        let list = &mut row.work[problem as usize].attempts;
        let (time, id) = key(at);
        let place = list.partition_point(|n| {
            let (t, i) = key(*n);
            t.cmp(&time).then_with(|| natural_cmp(i, id)).is_lt()
        });
        list.insert(place, at);
    }

    fn score(&mut self, team: u32, problem: u32) {
        let row = &mut self.rows[team as usize];
        let work = &mut row.work[problem as usize];
        (work.judged, work.pending, work.rejected, work.solved_ms) = (0, 0, 0, None);
        for n in &work.attempts {
            let attempt = &self.attempts[*n as usize];
            match attempt.verdict.map_or(Effect::Pending, |v| v.2) {
                Effect::Pending => work.pending += 1,
                _ if work.solved_ms.is_some() => {}
                Effect::Nothing => {}
                Effect::Rejected => {
                    work.judged += 1;
                    work.rejected += 1;
                }
                Effect::Accepted => {
                    work.judged += 1;
                    work.solved_ms = Some(attempt.time_ms);
                }
            }
        }
        let (mut solved, mut penalty, mut last) = (0, 0, 0);
        for w in &row.work {
            if let Some(ms) = w.solved_ms {
                solved += 1;
                penalty += ms / 60_000 + 20 * i64::from(w.rejected);
                last = last.max(ms / 60_000);
            }
        }
        row.key = (std::cmp::Reverse(solved), penalty, last);
    }

    /// Digest of the standings.
    pub fn digest(&self) -> String {
        let of = |t: &Team| {
            let cells = t.work.iter().zip(&self.problem_ids).filter(|(w, _)| w.judged + w.pending > 0);
            let cells = cells.map(|(w, p)| Cell {
                problem: p.clone(),
                judged: w.judged,
                pending: w.pending,
                solved_min: w.solved_ms.map(|ms| ms / 60_000),
                ..Cell::default()
            });
            let (solved, penalty, last_solved_min) = (t.key.0.0, t.key.1, t.key.2);
            Standing { team: t.id.clone(), solved, penalty, last_solved_min, cells: cells.collect() }
        };
        standings::digest(self.rows.iter().map(of).collect())
    }
}
