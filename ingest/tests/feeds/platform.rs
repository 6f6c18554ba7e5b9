//! What the platform does with records, as plainly as it can be said: an identity counts once, and of an object the
//! highest revision stands, equal ones in the order of their key.

use std::collections::{BTreeMap, HashMap};

use gravity_events::{Body, Id, Record};

/// The state of every object, by kind and id.
#[derive(Default)]
pub struct Platform {
    seen: HashMap<Id, Body>,
    objects: BTreeMap<(&'static str, Id), (Option<Id>, u64, Body)>,
    pub duplicates: usize,
    pub conflicts: usize,
}

impl Platform {
    pub fn take(&mut self, record: Record) {
        let body = record.body;
        if let Some(known) = self.seen.get(&record.id) {
            *(if *known == body { &mut self.duplicates } else { &mut self.conflicts }) += 1;
            return;
        }
        self.seen.insert(record.id, body.clone());
        let (kind, id, key, revision) = match &body {
            Body::GroupRegistered(b) => ("groups", &b.group, None, b.revision),
            Body::OrganizationRegistered(b) => ("organizations", &b.organization, None, b.revision),
            Body::TeamRegistered(b) => ("teams", &b.team, None, b.revision),
            Body::ProblemPublished(b) => ("problems", &b.problem, None, b.revision),
            Body::SubmissionReceived(b) => ("submissions", &b.submission, Some(&b.team), b.revision),
            Body::SubmissionWithdrawn(b) => ("submissions", &b.submission, Some(&b.team), b.revision),
            Body::JudgementRecorded(b) => ("judgements", &b.judgement, None, b.revision),
            other => (other.kind(), &Id::const_new(""), None, 0),
        };
        let at = (kind, id.clone());
        if let Some((was, known, _)) = self.objects.get(&at) {
            // Under another key it may be in another partition: only the revision can tell which is newer.
            assert!(was.as_ref() == key || *known != revision, "equal revisions under different keys: {body:?}");
            if *known > revision {
                return;
            }
        }
        let value = (key.cloned(), revision, body);
        self.objects.insert(at, value);
    }

    /// What is there: objects with their bodies (revisions aside), moments that stand.
    pub fn there(&self) -> BTreeMap<(&'static str, Id), Body> {
        let mut there = BTreeMap::new();
        for (at, (_, _, body)) in &self.objects {
            let mut body = body.clone();
            let gone = match &mut body {
                Body::TeamRegistered(b) => b.deleted,
                Body::JudgementRecorded(b) => b.deleted,
                Body::SubmissionWithdrawn(_) => true,
                Body::SubmissionReceived(b) => {
                    b.revision = 0;
                    false
                }
                Body::EventStarted(m) | Body::EventFrozen(m) | Body::EventThawed(m) => m.at.is_none(),
                _ => false,
            };
            if !gone {
                there.insert(at.clone(), body);
            }
        }
        there
    }
}
