//! The load: a contest made of numbers, so that any part of it can be made again.

use gravity_events::body::*;
use gravity_events::{Body, Id, Record};
use serde::{Deserialize, Serialize};

/// The tenant of every record.
pub const TENANT: &str = "acme";
/// When contests start, milliseconds since 1970.
pub const START_MS: i64 = 1_785_578_400_000;
/// How long they last.
pub const DURATION_MS: i64 = 18_000_000;

/// A contest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Contest {
    /// Its event.
    pub event: String,
    /// Teams `team-0`, `team-1`, ...
    pub teams: u64,
    /// Problems `problem-0`, ...
    pub problems: u64,
    /// What happens follows from it.
    pub seed: u64,
}

/// A well mixed number for (seed, stream, n).
pub fn mix(seed: u64, stream: u64, n: u64) -> u64 {
    let mut x = seed ^ stream.wrapping_mul(0xd6e8_feb8_6659_fd93) ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

const VERDICTS: [&str; 10] = ["AC", "WA", "WA", "AC", "TLE", "WA", "AC", "CE", "AC", "RTE"];

impl Contest {
    fn record(&self, id: &str, time_ms: i64, body: Body) -> Record {
        Record {
            id: id.into(),
            source: "feed/clics".into(),
            tenant: TENANT.into(),
            event: Some(self.event.as_str().into()),
            subject: None,
            time_ms: Some(time_ms),
            backfill: true,
            body,
        }
    }

    /// The event, its teams and its problems.
    pub fn reference(&self) -> impl Iterator<Item = Record> + '_ {
        let config =
            EventConfigured { name: "Finals".into(), duration_ms: Some(DURATION_MS), ..EventConfigured::default() };
        let started = Moment { at: Some(START_MS), contest_time_ms: None };
        let first = [
            self.record("configured", START_MS, Body::EventConfigured(config)),
            self.record("started", START_MS, Body::EventStarted(started)),
        ];
        let problems = (0..self.problems).map(|p| {
            let body = ProblemPublished {
                problem: problem(p),
                label: format!("P{p}"),
                name: format!("Problem number {p}"),
                ordinal: p as i64,
                ..ProblemPublished::default()
            };
            self.record(&format!("problems/{p}"), START_MS, Body::ProblemPublished(body))
        });
        let teams = (0..self.teams).map(|t| {
            let body = TeamRegistered { team: team(t), name: format!("Team {t:05}"), ..TeamRegistered::default() };
            self.record(&format!("teams/{t}"), START_MS, Body::TeamRegistered(body))
        });
        first.into_iter().chain(problems).chain(teams)
    }

    /// Submission `n` of `of`, by a team that follows from the seed.
    pub fn submission(&self, n: u64, of: u64) -> Record {
        self.submission_of(n, mix(self.seed, 1, n) % self.teams, mix(self.seed, 2, n) % self.problems, at_ms(n, of))
    }

    /// Submission `n` by a certain team.
    pub fn submission_of(&self, n: u64, by: u64, on: u64, at_ms: i64) -> Record {
        let body = SubmissionReceived {
            submission: submission(n),
            team: team(by),
            problem: problem(on),
            language: Some("cpp".into()),
            contest_time_ms: Some(at_ms),
            revision: 0,
        };
        self.record(&format!("submissions/{n}"), START_MS + at_ms, Body::SubmissionReceived(body))
    }

    /// The judgement of submission `n` of `of`; revisions above 0 are rejudges.
    pub fn judgement(&self, n: u64, of: u64, revision: u64) -> Record {
        let at_ms = at_ms(n, of);
        let verdict = VERDICTS[(mix(self.seed, 3 + revision, n) % 10) as usize];
        let body = JudgementRecorded {
            judgement: format!("j{n}").into(),
            submission: submission(n),
            judgement_type: Some(verdict.into()),
            start_contest_time_ms: Some(at_ms + 1_000),
            end_contest_time_ms: Some(at_ms + 4_000),
            revision,
            ..JudgementRecorded::default()
        };
        let id = format!("judgements/{n}-{revision}");
        self.record(&id, START_MS + at_ms + 4_000, Body::JudgementRecorded(body))
    }

    /// A contest of `records` submissions and judgements, of which `rejudges` are later revisions, in an order as it
    /// happens: judgements come some submissions later, rejudges at random.
    pub fn played(&self, records: u64, rejudges: u64) -> impl Iterator<Item = Record> + '_ {
        const LATER: u64 = 50;
        let submissions = (records - rejudges) / 2;
        let mut rejudged = 0;
        (0..submissions + LATER).flat_map(move |n| {
            let received = (n < submissions).then(|| self.submission(n, submissions));
            let judged = n.checked_sub(LATER).map(|n| self.judgement(n, submissions, 0));
            let due = (n * rejudges).checked_div(submissions).unwrap_or(0).min(rejudges);
            let again = (rejudged..due).map(|k| {
                // Dense rejudging (more than one each) goes round; sparse picks at random.
                let upto = n.saturating_sub(LATER).clamp(1, submissions);
                let n = if rejudges > submissions { k % upto } else { mix(self.seed, 4, k) % upto };
                self.judgement(n, submissions, 1 + k)
            });
            rejudged = rejudged.max(due);
            received.into_iter().chain(judged).chain(again.collect::<Vec<_>>())
        })
    }
}

fn at_ms(n: u64, of: u64) -> i64 {
    (u128::from(n) * DURATION_MS as u128 / u128::from(of.max(1))) as i64
}

/// Team `t`.
pub fn team(t: u64) -> Id {
    format!("team-{t}").into()
}

fn problem(p: u64) -> Id {
    format!("problem-{p}").into()
}

fn submission(n: u64) -> Id {
    format!("{n}").into()
}
