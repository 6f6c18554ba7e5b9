//! Strategies for every record type: any values that the limits allow, with a liking for their edges.

use gravity_events::board::{
    BoardDimension, BoardHeader, BoardKey, BoardProblem, BoardRow, BoardValue, Cell, Division, FirstSolve, Points,
    View, Worth,
};
use gravity_events::body::*;
use gravity_events::codec::{MAX_INTEGER, MAX_SPAN_MS, MAX_TIME_MS, MIN_TIME_MS};
use gravity_events::{Id, Record};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::Union;

/// A record of any type, every type equally often.
#[allow(dead_code)] // not every test that takes this file in uses it
pub fn record() -> impl Strategy<Value = Record> {
    Union::new(Body::KINDS.iter().map(|kind| record_of(kind)))
}

/// A record of one type.
pub fn record_of(kind: &'static str) -> BoxedStrategy<Record> {
    let event = body_of(kind).prop_flat_map(|body| {
        let event = if body.needs_event() { id().prop_map(Some).boxed() } else { of(id()).boxed() };
        let time = if body.needs_time() { time().prop_map(Some).boxed() } else { of(time()).boxed() };
        (Just(body), event, time)
    });
    (id(), id(), id(), event, of(id()), any::<bool>())
        .prop_map(|(id, source, tenant, (body, event, time_ms), subject, backfill)| Record {
            id,
            source,
            tenant,
            event,
            subject,
            time_ms,
            backfill,
            body,
        })
        .boxed()
}

fn id() -> impl Strategy<Value = Id> {
    prop_oneof![
        4 => "[a-z0-9-]{1,12}",
        1 => "[^\\x00-\\x1f\\x7f-\\u{9f}]{1,40}",
        1 => Just("-".to_owned()),
        1 => Just("x".repeat(256)),
    ]
    .prop_map(Id::from)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![8 => ".{0,20}", 2 => "(?s).{0,20}", 1 => Just("é".repeat(8192))]
}

fn time() -> impl Strategy<Value = i64> {
    prop_oneof![8 => MIN_TIME_MS..=MAX_TIME_MS, 1 => Just(MIN_TIME_MS), 1 => Just(MAX_TIME_MS)]
}

fn contest_time() -> impl Strategy<Value = i64> {
    prop_oneof![8 => -1_000_000..20_000_000_i64, 1 => Just(-MAX_SPAN_MS), 1 => Just(MAX_SPAN_MS)]
}

fn duration() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 0..20_000_000_i64, 1 => Just(0), 1 => Just(MAX_SPAN_MS)]
}

fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![8 => -1000..1000_i64, 1 => -MAX_INTEGER..=MAX_INTEGER, 1 => Just(-MAX_INTEGER), 1 => Just(MAX_INTEGER)]
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..1000_u64, 1 => 0..=MAX_INTEGER as u64, 1 => Just(MAX_INTEGER as u64)]
}

fn size() -> impl Strategy<Value = i64> {
    count().prop_map(|n| n as i64)
}

fn finite() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("finite", |f| f.is_finite())
}

fn flag() -> impl Strategy<Value = bool> {
    any::<bool>()
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        flag().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        finite().prop_map(Into::into),
        text().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Into::into),
            vec((text(), inner), 0..4).prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn moment() -> impl Strategy<Value = Moment> {
    (of(time()), of(contest_time())).prop_map(|(at, contest_time_ms)| Moment { at, contest_time_ms })
}

fn lab_step() -> impl Strategy<Value = LabStep> {
    (id(), id(), 1..=u32::MAX, of(text())).prop_map(|(lab, step, attempt, error)| LabStep { lab, step, attempt, error })
}

fn lab_state() -> impl Strategy<Value = LabState> {
    (id(), of(text())).prop_map(|(lab, reason)| LabState { lab, reason })
}

fn alert() -> impl Strategy<Value = Alert> {
    (id(), id(), text()).prop_map(|(alert, rule, summary)| Alert { alert, rule, summary })
}

fn view() -> impl Strategy<Value = View> {
    prop_oneof![Just(View::Public), Just(View::Jury)]
}

fn board_key() -> BoxedStrategy<BoardKey> {
    prop_oneof![
        (id(), id()).prop_map(|(tenant, event)| BoardKey::Header { tenant, event }),
        (id(), id(), id()).prop_map(|(tenant, event, team)| BoardKey::Row { tenant, event, team }),
        (id(), id(), id()).prop_map(|(tenant, event, problem)| BoardKey::First { tenant, event, problem }),
        (id(), id(), id()).prop_map(|(tenant, event, problem)| BoardKey::Worth { tenant, event, problem }),
    ]
    .boxed()
}

fn board_header() -> BoxedStrategy<BoardHeader> {
    let problem = (id(), text(), text(), of(text())).prop_map(|(problem, label, name, rgb)| BoardProblem {
        problem,
        label,
        name,
        rgb,
    });
    let division = (id(), text()).prop_map(|(division, name)| Division { division, name });
    let times = (of(time()), of(time()), of(time()), of(time()), of(time()), of(time()));
    let lists = (vec(problem, 0..4), vec(division, 0..4), vec(award(), 0..3));
    let rest = (of(duration()), of(contest_time()), amount(), lists.0, lists.1, lists.2);
    let dimension = (id(), 0..=10_000_u32).prop_map(|(dimension, weight_bp)| BoardDimension { dimension, weight_bp });
    let rubric = (scoring(), of((id(), count())), vec(dimension, 0..3));
    (text(), of(text()), times, rest, rubric)
        .prop_map(|(name, formal_name, times, rest, rubric)| BoardHeader {
            name,
            formal_name,
            scoring: rubric.0,
            rubric: rubric.1,
            dimensions: rubric.2,
            start_at_ms: times.0,
            started_at_ms: times.1,
            frozen_at_ms: times.2,
            ended_at_ms: times.3,
            thawed_at_ms: times.4,
            finalized_at_ms: times.5,
            duration_ms: rest.0,
            freeze_ms: rest.1,
            penalty_min: rest.2,
            problems: rest.3,
            divisions: rest.4,
            awards: rest.5,
        })
        .boxed()
}

fn board_row() -> BoxedStrategy<BoardRow> {
    let cell = (id(), any::<u32>(), any::<u32>(), of(amount()), of(amount()))
        .prop_map(|(problem, judged, pending, solved_min, score)| Cell { problem, judged, pending, solved_min, score });
    let numbers = (any::<u32>(), amount(), amount(), amount());
    let points = (amount(), vec(amount(), 0..4), of(id()), vec((id(), of(amount())), 0..3), of(contest_time()))
        .prop_map(|(score, rank_key, tie, dimensions, stale_since_ms)| {
            Box::new(Points { score, rank_key, tie, dimensions, stale_since_ms })
        });
    (text(), of(text()), vec(id(), 0..3), (flag(), flag()), numbers, vec(cell, 0..4), of(points))
        .prop_map(|(name, organization, divisions, (hidden, out_of_competition), numbers, cells, points)| BoardRow {
            name,
            organization,
            divisions,
            hidden,
            out_of_competition,
            points,
            solved: numbers.0,
            penalty: numbers.1,
            last_solved_min: numbers.2,
            last_scored_at_ms: numbers.3,
            cells,
        })
        .boxed()
}

fn board_value() -> BoxedStrategy<BoardValue> {
    let first = (id(), id(), contest_time()).prop_map(|(team, submission, contest_time_ms)| FirstSolve {
        team,
        submission,
        contest_time_ms,
    });
    prop_oneof![
        board_header().prop_map(|header| BoardValue::Header(header.into())),
        board_row().prop_map(|row| BoardValue::Row(row.into())),
        first.prop_map(|first| BoardValue::First(first.into())),
        (amount(), any::<u32>()).prop_map(|(points, solves)| BoardValue::Worth(Worth { points, solves }.into())),
    ]
    .boxed()
}

fn scoring() -> impl Strategy<Value = Scoring> {
    prop_oneof![
        Just(Scoring::Icpc),
        Just(Scoring::Ctf),
        Just(Scoring::Ioi),
        Just(Scoring::Kaggle),
        Just(Scoring::Rubric)
    ]
}

fn value_function() -> BoxedStrategy<ValueFunction> {
    let falling = || (size(), size(), 1..=MAX_INTEGER);
    prop_oneof![
        size().prop_map(|points| ValueFunction::Static { points }),
        falling().prop_map(|(initial, minimum, decay)| ValueFunction::Linear { initial, minimum, decay }),
        falling().prop_map(|(initial, minimum, decay)| ValueFunction::Logarithmic { initial, minimum, decay }),
        (size(), 0..=10_000_u32, 1..=MAX_INTEGER).prop_map(|(initial, minimum_bp, difficulty_milli)| {
            ValueFunction::Exponential { initial, minimum_bp, difficulty_milli }
        }),
        Just(ValueFunction::Nizkctf),
        Just(ValueFunction::Defcon),
    ]
    .boxed()
}

fn board_rules() -> BoxedStrategy<BoardRules> {
    let selection = prop_oneof![Just(Selection::Best), Just(Selection::Last), Just(Selection::Chosen)];
    let subtasks = prop_oneof![Just(Subtasks::Each), Just(Subtasks::Whole)];
    let interval = (contest_time(), contest_time()).prop_map(|(from_ms, to_ms)| Interval { from_ms, to_ms });
    let flags = (flag(), flag(), flag());
    (of(id()), selection, subtasks, of(value_function()), of(any::<u32>()), flags, vec(interval, 0..3))
        .prop_map(|(rubric, selection, subtasks, value, selected_max, flags, removed_intervals)| BoardRules {
            rubric,
            selection,
            subtasks,
            value,
            selected_max,
            lower_is_better: flags.0,
            strict: flags.1,
            list_all: flags.2,
            removed_intervals,
        })
        .boxed()
}

fn award() -> impl Strategy<Value = CustomAward> {
    (id(), text(), vec(id(), 0..3)).prop_map(|(award, citation, teams)| CustomAward { award, citation, teams })
}

/// A body of one type. Panics on a type that has no strategy yet: add one.
pub fn body_of(kind: &str) -> BoxedStrategy<Body> {
    match kind {
        "event.configured" => {
            let durations = (of(duration()), of(duration()), of(duration()));
            (text(), of(text()), scoring(), of(time()), durations, of(id()), board_rules(), vec(award(), 0..3))
                .prop_map(|(name, formal_name, scoring, start_at, durations, main_group, rules, awards)| {
                    Body::EventConfigured(EventConfigured {
                        name,
                        formal_name,
                        scoring,
                        start_at,
                        duration_ms: durations.0,
                        freeze_duration_ms: durations.1,
                        penalty_ms: durations.2,
                        main_group,
                        rules,
                        awards,
                    })
                })
                .boxed()
        }
        "event.started" => moment().prop_map(Body::EventStarted).boxed(),
        "event.extended" => (of(duration()), of(text()))
            .prop_map(|(duration_ms, reason)| Body::EventExtended(EventExtended { duration_ms, reason }))
            .boxed(),
        "event.frozen" => moment().prop_map(Body::EventFrozen).boxed(),
        "event.thawed" => moment().prop_map(Body::EventThawed).boxed(),
        "event.ended" => moment().prop_map(Body::EventEnded).boxed(),
        "event.finalized" => moment().prop_map(Body::EventFinalized).boxed(),
        "event.sealed" => moment().prop_map(Body::EventSealed).boxed(),
        "event.reopened" => moment().prop_map(Body::EventReopened).boxed(),
        "team.registered" => (id(), text(), of(text()), of(id()), vec(id(), 0..4), (flag(), flag()), flag(), count())
            .prop_map(|(team, name, display_name, organization, groups, (hidden, guest), deleted, revision)| {
                Body::TeamRegistered(TeamRegistered {
                    team,
                    name,
                    display_name,
                    organization,
                    groups,
                    hidden,
                    out_of_competition: guest,
                    deleted,
                    revision,
                })
            })
            .boxed(),
        "group.registered" => (id(), text(), flag(), flag(), count())
            .prop_map(|(group, name, hidden, deleted, revision)| {
                Body::GroupRegistered(GroupRegistered { group, name, hidden, deleted, revision })
            })
            .boxed(),
        "organization.registered" => (id(), text(), of(text()), of(id()), flag(), count())
            .prop_map(|(organization, name, formal_name, country, deleted, revision)| {
                Body::OrganizationRegistered(OrganizationRegistered {
                    organization,
                    name,
                    formal_name,
                    country,
                    deleted,
                    revision,
                })
            })
            .boxed(),
        "problem.published" => {
            (id(), (text(), text()), amount(), of(text()), of(value_function()), of(1..=1_000_u32), (flag(), count()))
                .prop_map(|(problem, (label, name), ordinal, rgb, value, weight, (deleted, revision))| {
                    Body::ProblemPublished(ProblemPublished {
                        problem,
                        label,
                        name,
                        ordinal,
                        rgb,
                        value,
                        weight,
                        deleted,
                        revision,
                    })
                })
                .boxed()
        }
        "language.published" => (id(), text(), flag(), count())
            .prop_map(|(language, name, deleted, revision)| {
                Body::LanguagePublished(LanguagePublished { language, name, deleted, revision })
            })
            .boxed(),
        "judgement_type.published" => (id(), text(), of(flag()), of(flag()), flag(), count())
            .prop_map(|(judgement_type, name, solved, penalty, deleted, revision)| {
                Body::JudgementTypePublished(JudgementTypePublished {
                    judgement_type,
                    name,
                    solved,
                    penalty,
                    deleted,
                    revision,
                })
            })
            .boxed(),
        "operator.quarantined" => (id(), text(), flag(), count())
            .prop_map(|(operator, reason, released, revision)| {
                Body::OperatorQuarantined(OperatorQuarantined { operator, reason, released, revision })
            })
            .boxed(),
        "rubric.published" => {
            let dimension =
                (id(), 0..=10_000_u32, id(), json()).prop_map(|(dimension, weight_bp, operator, parameters)| {
                    RubricDimension { dimension, weight_bp, operator, parameters }
                });
            (id(), count(), vec(dimension, 0..4))
                .prop_map(|(rubric, version, dimensions)| {
                    Body::RubricPublished(RubricPublished { rubric, version, dimensions })
                })
                .boxed()
        }
        "price.published" => {
            let kind = prop_oneof![Just("input"), Just("output"), Just("cached"), Just("vm_second"), Just("hint")]
                .prop_map(Id::from);
            let tiers = vec((1..1_000_u64, size()), 0..3).prop_map(|tiers| {
                let mut above_units = 0;
                let mut next = |(step, micro_per_million)| {
                    above_units += step;
                    PriceTier { above_units, micro_per_million }
                };
                tiers.into_iter().map(&mut next).collect()
            });
            let price = (id(), kind, size(), tiers).prop_map(|(model, kind, micro_per_million, tiers)| Price {
                model,
                kind,
                micro_per_million,
                tiers,
            });
            let minute = time().prop_map(|ms| ms - ms % 60_000);
            (id(), count(), id(), of(minute), vec(price, 0..4))
                .prop_map(|(price_list, version, currency, effective_at, prices)| {
                    Body::PricePublished(PricePublished { price_list, version, currency, effective_at, prices })
                })
                .boxed()
        }
        "meter.defined" => meter(),
        "meter.changed" => {
            let dimension = select(METER_DIMENSIONS.to_vec()).prop_map(Id::from);
            let group = btree_map(dimension, id(), 0..3);
            (id(), time(), time(), group, of(amount()), size(), any::<bool>())
                .prop_map(|(meter, window_start, window_end, group, value, records, correction)| {
                    let changed = MeterChanged { meter, window_start, window_end, group, value, records, correction };
                    Body::MeterChanged(changed)
                })
                .boxed()
        }
        "analytics.changed" => {
            let numbers = btree_map(id(), amount(), 0..3);
            (id(), of(time()), of(contest_time()), of(id()), of(id()), numbers)
                .prop_map(|(view, window_start, contest_minute_ms, by, team, numbers)| {
                    let changed = AnalyticsChanged { view, window_start, contest_minute_ms, by, team, numbers };
                    Body::AnalyticsChanged(changed)
                })
                .boxed()
        }
        "budget.set" => (id(), of(id()), size(), id(), vec(0..=1_000_000_u32, 0..4), any::<bool>())
            .prop_map(|(budget, team, limit_micro, currency, alerts_bp, soft)| {
                Body::BudgetSet(BudgetSet { budget, team, limit_micro, currency, alerts_bp, soft })
            })
            .boxed(),
        "submission.received" => (id(), id(), id(), of(id()), of(contest_time()), count())
            .prop_map(|(submission, team, problem, language, contest_time_ms, revision)| {
                Body::SubmissionReceived(SubmissionReceived {
                    submission,
                    team,
                    problem,
                    language,
                    contest_time_ms,
                    revision,
                })
            })
            .boxed(),
        "submission.selected" => (id(), id(), flag())
            .prop_map(|(submission, team, selected)| {
                Body::SubmissionSelected(SubmissionSelected { submission, team, selected })
            })
            .boxed(),
        "submission.withdrawn" => (id(), id(), count())
            .prop_map(|(submission, team, revision)| {
                Body::SubmissionWithdrawn(SubmissionWithdrawn { submission, team, revision })
            })
            .boxed(),
        "hint.revealed" => (id(), id(), id(), amount())
            .prop_map(|(hint, team, problem, cost)| Body::HintRevealed(HintRevealed { hint, team, problem, cost }))
            .boxed(),
        "vote.recorded" => (id(), id(), id(), id(), of(id()))
            .prop_map(|(vote, voter, team, over, dimension)| {
                Body::VoteRecorded(VoteRecorded { vote, voter, team, over, dimension })
            })
            .boxed(),
        "board.adjusted" => {
            let visible = prop_oneof![Just(Visible::Now), Just(Visible::Thaw)];
            (id(), id(), of(id()), of(amount()), of(amount()), text(), id(), visible)
                .prop_map(|(adjustment, team, problem, points, penalty, reason, actor, visible)| {
                    Body::BoardAdjusted(BoardAdjusted {
                        adjustment,
                        team,
                        problem,
                        points,
                        penalty,
                        reason,
                        actor,
                        visible,
                    })
                })
                .boxed()
        }
        "judgement.recorded" => {
            let group = (id(), any::<u32>(), any::<u32>(), of(amount()))
                .prop_map(|(group, passed, total, points)| TestGroup { group, passed, total, points });
            let outcome = (vec(group, 0..3), btree_map(id(), amount(), 0..3));
            let ids = (id(), id(), of(id()), of(id()));
            (ids, (of(contest_time()), of(contest_time()), of(flag()), count(), flag()), outcome)
                .prop_map(
                    |(
                        (judgement, submission, judgement_type, rejudging),
                        (start, end, current, revision, deleted),
                        outcome,
                    )| {
                        Body::JudgementRecorded(JudgementRecorded {
                            judgement,
                            submission,
                            judgement_type,
                            start_contest_time_ms: start,
                            end_contest_time_ms: end,
                            current,
                            revision,
                            deleted,
                            rejudging,
                            groups: outcome.0,
                            measures: outcome.1,
                        })
                    },
                )
                .boxed()
        }
        "rejudging.opened" => (id(), text(), of(id()), vec(id(), 0..3))
            .prop_map(|(rejudging, reason, problem, submissions)| {
                Body::RejudgingOpened(RejudgingOpened { rejudging, reason, problem, submissions })
            })
            .boxed(),
        "rejudging.applied" => (id(), text())
            .prop_map(|(rejudging, reason)| Body::RejudgingApplied(RejudgingApplied { rejudging, reason }))
            .boxed(),
        "board.noted" => {
            let cause = (id(), of(id()), of(text()), of(id())).prop_map(|(kind, what, why, actor)| Cause {
                kind,
                what,
                why,
                actor,
            });
            let view = prop_oneof![Just(View::Public), Just(View::Jury)];
            (view, count(), time(), vec(cause, 0..3), count())
                .prop_map(|(view, version, at, causes, rows)| {
                    Body::BoardNoted(BoardNoted { view, version, at, causes, rows })
                })
                .boxed()
        }
        "rejudging.cancelled" => {
            id().prop_map(|rejudging| Body::RejudgingCancelled(RejudgingCancelled { rejudging })).boxed()
        }
        "usage.tokens" => (id(), count(), count(), count(), of(id()), of(id()))
            .prop_map(|(model, input_tokens, output_tokens, cached, team, lab)| {
                let cached_tokens = cached.min(input_tokens);
                Body::UsageTokens(UsageTokens { model, input_tokens, output_tokens, cached_tokens, team, lab })
            })
            .boxed(),
        "usage.hint" => (id(), of(id()), of(id()))
            .prop_map(|(hint, team, lab)| Body::UsageHint(UsageHint { hint, team, lab }))
            .boxed(),
        "usage.vm" => (id(), duration(), of(id()), of(id()))
            .prop_map(|(machine, ms, team, lab)| Body::UsageVm(UsageVm { machine, duration_ms: ms as u64, team, lab }))
            .boxed(),
        "lab.telemetry" => (id(), id(), finite())
            .prop_map(|(lab, metric, value)| Body::LabTelemetry(LabTelemetry { lab, metric, value }))
            .boxed(),
        "lab.provision.requested" => (id(), id(), of(id()))
            .prop_map(|(lab, template, team)| {
                Body::LabProvisionRequested(LabProvisionRequested { lab, template, team })
            })
            .boxed(),
        "lab.step.started" => lab_step().prop_map(Body::LabStepStarted).boxed(),
        "lab.step.succeeded" => lab_step().prop_map(Body::LabStepSucceeded).boxed(),
        "lab.step.failed" => lab_step().prop_map(Body::LabStepFailed).boxed(),
        "lab.ready" => lab_state().prop_map(Body::LabReady).boxed(),
        "lab.failed" => lab_state().prop_map(Body::LabFailed).boxed(),
        "lab.released" => lab_state().prop_map(Body::LabReleased).boxed(),
        "source.published" => (id(), id(), id(), id(), text())
            .prop_map(|(submission, team, problem, language, text)| {
                Body::SourcePublished(SourcePublished { submission, team, problem, language, text })
            })
            .boxed(),
        "template.published" => (id(), id(), id(), text())
            .prop_map(|(template, problem, language, text)| {
                Body::TemplatePublished(TemplatePublished { template, problem, language, text })
            })
            .boxed(),
        "similarity.changed" => {
            let alike = || (id(), id()).prop_map(|(team, submission)| Alike { team, submission });
            (id(), id(), alike(), alike(), any::<u32>(), 0..=10_000_u32)
                .prop_map(|(problem, language, left, right, shared, share_bp)| {
                    let changed = SimilarityChanged { problem, language, left, right, shared, share_bp };
                    Body::SimilarityChanged(changed)
                })
                .boxed()
        }
        "score.ready" => (id(), id(), amount())
            .prop_map(|(submission, team, score)| Body::ScoreReady(ScoreReady { submission, team, score }))
            .boxed(),
        "board.changed" => {
            let division = prop_oneof![Just(Id::default()), id()];
            (view(), board_key(), of(board_value()), vec((division, count()), 0..3))
                .prop_map(|(view, key, value, versions)| {
                    Body::BoardChanged(BoardChanged { view, key, value, versions })
                })
                .boxed()
        }
        "epoch.closed" => (id(), count(), count())
            .prop_map(|(pipeline, epoch, records)| Body::EpochClosed(EpochClosed { pipeline, epoch, records }))
            .boxed(),
        "epoch.accepted" => {
            let bounds =
                (id(), vec((any::<u32>(), count()), 0..3)).prop_map(|(topic, offsets)| TopicBounds { topic, offsets });
            let refused = (id(), any::<u32>(), count(), count(), id(), of(text())).prop_map(
                |(topic, partition, offset, records, code, detail)| RefusedRun {
                    topic,
                    partition,
                    offset,
                    records,
                    code,
                    detail,
                },
            );
            (id(), count(), vec(bounds, 0..3), vec(refused, 0..3))
                .prop_map(|(pipeline, epoch, bounds, refused)| {
                    Body::EpochAccepted(EpochAccepted { pipeline, epoch, bounds, refused })
                })
                .boxed()
        }
        "burn.changed" => (id(), time(), amount(), amount(), amount(), amount(), amount())
            .prop_map(|(meter, window_start, records, input_tokens, output_tokens, cached_tokens, cost_micro)| {
                Body::BurnChanged(BurnChanged {
                    meter,
                    window_start,
                    records,
                    input_tokens,
                    output_tokens,
                    cached_tokens,
                    cost_micro,
                })
            })
            .boxed(),
        "burn.adjusted" => {
            let price = (id(), count(), of(id()));
            let price = price.prop_map(|(price_list, version, event)| PriceVersion { price_list, version, event });
            (time(), time(), id(), id(), vec(price, 0..3), amount(), amount(), amount())
                .prop_map(|(at, month, kind, item, prices, records, before_micro, after_micro)| {
                    Body::BurnAdjusted(BurnAdjusted {
                        at,
                        month,
                        kind,
                        item,
                        prices,
                        records,
                        before_micro,
                        after_micro,
                    })
                })
                .boxed()
        }
        "alert.raised" => alert().prop_map(Body::AlertRaised).boxed(),
        "alert.cleared" => alert().prop_map(Body::AlertCleared).boxed(),
        "budget.alert" => (id(), 0..=1_000_000_u32, amount(), size())
            .prop_map(|(budget, mark_bp, spent_micro, limit_micro)| {
                Body::BudgetAlert(BudgetAlert { budget, mark_bp, spent_micro, limit_micro })
            })
            .boxed(),
        "record.refused" => (text(), count(), text(), id(), any::<u32>(), count(), id(), text())
            .prop_map(|(data_base64, length, sha256, topic, partition, offset, code, detail)| {
                Body::RecordRefused(RecordRefused {
                    data_base64,
                    length,
                    sha256,
                    topic,
                    partition,
                    offset,
                    code,
                    detail,
                })
            })
            .boxed(),
        other => panic!("no strategy for records of type {other}: add one"),
    }
}

fn meter() -> BoxedStrategy<Body> {
    let what = prop_oneof![
        Just((Aggregation::Count, None)),
        select(METER_DIMENSIONS.to_vec()).prop_map(|of| (Aggregation::UniqueCount, Some(Id::from(of)))),
        (
            select(vec![Aggregation::Sum, Aggregation::Min, Aggregation::Max, Aggregation::Avg, Aggregation::Latest]),
            select(METER_NUMBERS.to_vec())
        )
            .prop_map(|(aggregation, of)| (aggregation, Some(Id::from(of)))),
    ];
    let window = select(vec![Span::Minute, Span::Hour, Span::Day, Span::Month]);
    let zone = of(select(vec!["UTC", "Europe/Berlin", "Asia/Kolkata"]).prop_map(Id::from));
    let group_by =
        subsequence(METER_DIMENSIONS.to_vec(), 0..4).prop_map(|by| by.into_iter().map(Id::from).collect::<Vec<_>>());
    let of = select(vec!["usage.tokens", "usage.vm", "usage.hint"]).prop_map(Id::from);
    (id(), of, what, window, zone, group_by, any::<bool>(), count())
        .prop_map(|(meter, of, (aggregation, value), window, time_zone, group_by, deleted, revision)| {
            let defined =
                MeterDefined { meter, of, aggregation, value, window, time_zone, group_by, deleted, revision };
            Body::MeterDefined(defined)
        })
        .boxed()
}
