//! What each kind of object becomes.

use gravity_events::Id;
use gravity_events::body::{
    BoardRules, Body, EventConfigured, GroupRegistered, JudgementRecorded, JudgementTypePublished, LanguagePublished,
    OrganizationRegistered, ProblemPublished, Scoring, SubmissionReceived, SubmissionWithdrawn, TeamRegistered,
};

use super::fields::{FieldProblem, Fields};
use super::memory::{Collection, Entry};

/// A body and the object's own time.
pub(super) type Made = (Body, Option<i64>);

/// The contest as an event.
pub(super) fn configured(f: Fields<'_>) -> Result<Body, FieldProblem> {
    let named = f.text("name")?.or(f.text("shortname")?).or(f.text("id")?);
    Ok(Body::EventConfigured(EventConfigured {
        name: named.unwrap_or_default(),
        formal_name: f.text("formal_name")?,
        scoring: Scoring::Icpc,
        start_at: f.time("start_time")?,
        duration_ms: f.reltime("duration")?,
        freeze_duration_ms: f.reltime("scoreboard_freeze_duration")?,
        penalty_ms: f.reltime("penalty_time")?,
        main_group: f.id("main_scoreboard_group_id")?,
        rules: BoardRules::default(),
        awards: Vec::new(),
    }))
}

/// The object as it is now. Notes in `entry` whose it is, and the revision.
pub(super) fn set(collection: Collection, id: &Id, f: Fields<'_>, entry: &mut Entry) -> Result<Made, FieldProblem> {
    let id = id.clone();
    let body = match collection {
        Collection::Groups => Body::GroupRegistered(GroupRegistered {
            group: id,
            name: f.text("name")?.unwrap_or_default(),
            hidden: f.flag("hidden")?.unwrap_or(false),
            ..Default::default()
        }),
        Collection::Organizations => Body::OrganizationRegistered(OrganizationRegistered {
            organization: id,
            name: f.text("name")?.unwrap_or_default(),
            formal_name: f.text("formal_name")?,
            country: f.id("country")?,
            ..Default::default()
        }),
        Collection::Teams => Body::TeamRegistered(TeamRegistered {
            team: id,
            name: f.text("name")?.unwrap_or_default(),
            display_name: f.text("display_name")?,
            organization: f.id("organization_id")?,
            groups: match f.ids("group_ids")? {
                none if none.is_empty() => f.id("group_id")?.into_iter().collect(),
                groups => groups,
            },
            hidden: f.flag("hidden")?.unwrap_or(false),
            ..Default::default()
        }),
        Collection::Problems => Body::ProblemPublished(ProblemPublished {
            problem: id,
            label: f.text("label")?.unwrap_or_default(),
            name: f.text("name")?.unwrap_or_default(),
            ordinal: f.int("ordinal")?.unwrap_or(0),
            rgb: f.rgb("rgb"),
            ..Default::default()
        }),
        Collection::Languages => Body::LanguagePublished(LanguagePublished {
            language: id,
            name: f.text("name")?.unwrap_or_default(),
            ..Default::default()
        }),
        Collection::JudgementTypes => Body::JudgementTypePublished(JudgementTypePublished {
            judgement_type: id,
            name: f.text("name")?.unwrap_or_default(),
            solved: f.flag("solved")?,
            penalty: f.flag("penalty")?,
            ..Default::default()
        }),
        Collection::Submissions => return submission(id, f, entry),
        Collection::Judgements => return judgement(id, f, entry),
    };
    Ok((body, None))
}

fn submission(id: Id, f: Fields<'_>, entry: &mut Entry) -> Result<Made, FieldProblem> {
    let team = f.need_id("team_id")?;
    // Another team is another key, perhaps another partition: place in the log says nothing between the two.
    let moved = entry.owner.as_ref().is_some_and(|was| *was != team);
    let revision = entry.revision + u64::from(moved);
    let body = SubmissionReceived {
        submission: id,
        team: team.clone(),
        problem: f.need_id("problem_id")?,
        language: f.id("language_id")?,
        contest_time_ms: f.reltime("contest_time")?,
        revision,
    };
    let time = f.time("time")?;
    (entry.owner, entry.revision) = (Some(team), revision);
    Ok((Body::SubmissionReceived(body), time))
}

fn judgement(id: Id, f: Fields<'_>, entry: &mut Entry) -> Result<Made, FieldProblem> {
    let submission = match (f.id("submission_id")?, &entry.owner) {
        (Some(s), _) => s,
        (None, Some(known)) => known.clone(),
        (None, None) => f.need_id("submission_id")?,
    };
    let body = JudgementRecorded {
        judgement: id,
        submission: submission.clone(),
        judgement_type: f.id("judgement_type_id")?,
        start_contest_time_ms: f.reltime("start_contest_time")?,
        end_contest_time_ms: f.reltime("end_contest_time")?,
        current: f.flag("current")?,
        ..Default::default()
    };
    let time = match f.time("end_time")? {
        Some(end) => Some(end),
        None => f.time("start_time")?,
    };
    entry.owner = Some(submission);
    Ok((Body::JudgementRecorded(body), time))
}

/// The object gone; `None` for a submission that was never seen, since the record must name its team.
pub(super) fn gone(collection: Collection, id: &Id, entry: &Entry) -> Option<Body> {
    let id = id.clone();
    Some(match collection {
        Collection::Groups => Body::GroupRegistered(GroupRegistered { group: id, deleted: true, ..Default::default() }),
        Collection::Organizations => Body::OrganizationRegistered(OrganizationRegistered {
            organization: id,
            deleted: true,
            ..Default::default()
        }),
        Collection::Teams => Body::TeamRegistered(TeamRegistered { team: id, deleted: true, ..Default::default() }),
        Collection::Problems => {
            Body::ProblemPublished(ProblemPublished { problem: id, deleted: true, ..Default::default() })
        }
        Collection::Languages => {
            Body::LanguagePublished(LanguagePublished { language: id, deleted: true, ..Default::default() })
        }
        Collection::JudgementTypes => Body::JudgementTypePublished(JudgementTypePublished {
            judgement_type: id,
            deleted: true,
            ..Default::default()
        }),
        Collection::Submissions => Body::SubmissionWithdrawn(SubmissionWithdrawn {
            submission: id,
            team: entry.owner.clone()?,
            revision: entry.revision,
        }),
        // Of a judgement that was never seen not even the submission is known; gone, it counts for none.
        Collection::Judgements => Body::JudgementRecorded(JudgementRecorded {
            judgement: id,
            submission: entry.owner.clone().unwrap_or(Id::const_new("-")),
            deleted: true,
            ..Default::default()
        }),
    })
}
