//! What records of every type say.

use gravity_events::body::*;
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;

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
