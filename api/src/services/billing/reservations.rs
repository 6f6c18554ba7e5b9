//! `POST /api/v1/billing/reservations`: what may cost something asks first, and says afterwards what it used.

use axum::Json;
use axum::extract::State as AxumState;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gravity_events::body::Span;
use gravity_events::burn::{Account, Cell, Item, MINUTE_MS, Usage};
use gravity_events::calendar::window_start;
use gravity_events::time::format_rfc3339_ms;
use gravity_events::{Id, id::id_problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::budgets::Budgets;
use super::ledger::{Ask, LedgerError, Reservation, State};
use crate::app::AppState;
use crate::http::extract::{ApiJson, ApiPath};
use crate::http::idempotency::key_of;
use crate::http::{Feeder, Problem};

const TTL_S_DEFAULT: u64 = 600;
const TTL_S_MAX: u64 = 7 * 86_400;
/// More than anybody uses in one call: numbers beyond it are a mistake.
const AMOUNT_MAX: u64 = 1 << 50;

/// What is to be held.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReservationRequest {
    /// Who pays.
    #[schema(value_type = String)]
    pub tenant: Id,
    /// For which event.
    #[schema(value_type = Option<String>)]
    pub event: Option<Id>,
    /// Which team spends.
    #[schema(value_type = Option<String>)]
    pub team: Option<Id>,
    /// In which lab.
    #[schema(value_type = Option<String>)]
    pub lab: Option<Id>,
    /// The model that is to be called.
    #[schema(value_type = Option<String>)]
    pub model: Option<Id>,
    /// The machine type that is to run, where it is no model.
    #[schema(value_type = Option<String>)]
    pub machine: Option<Id>,
    /// The most tokens that it reads.
    #[serde(default)]
    pub max_input_tokens: u64,
    /// The most tokens that it writes.
    #[serde(default)]
    pub max_output_tokens: u64,
    /// The longest that the machine runs.
    #[serde(default)]
    pub max_duration_ms: u64,
    /// The most that it may cost, in micro-units, where that is known better than by the prices.
    pub amount_micro: Option<i64>,
    /// For how long it is held, 600 by default, a week at most.
    pub ttl_s: Option<u64>,
}

/// What was used.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettleRequest {
    /// Tokens read.
    #[serde(default)]
    pub input_tokens: u64,
    /// Tokens written.
    #[serde(default)]
    pub output_tokens: u64,
    /// Of the tokens read, those from a cache.
    #[serde(default)]
    pub cached_tokens: u64,
    /// How long the machine ran.
    #[serde(default)]
    pub duration_ms: u64,
}

/// A reservation as it stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReservationAnswer {
    /// Its id, which is that of its usage record, too.
    pub reservation: String,
    /// Who pays.
    pub tenant: String,
    /// For which event.
    pub event: Option<String>,
    /// Which team spends.
    pub team: Option<String>,
    /// In which lab.
    pub lab: Option<String>,
    /// `open`, `settled`, `released` or `expired`.
    pub state: &'static str,
    /// What was held, in micro-units.
    pub amount_micro: i64,
    /// What it was settled with, in micro-units.
    pub settled_micro: i64,
    /// Of the amounts (ISO 4217).
    pub currency: String,
    /// When it is given up (RFC 3339).
    pub expires_at: String,
}

impl From<Reservation> for ReservationAnswer {
    fn from(reservation: Reservation) -> ReservationAnswer {
        let of = reservation.ask;
        let text = |id: Option<Id>| id.map(|id| id.to_string());
        ReservationAnswer {
            reservation: of.reservation.to_string(),
            tenant: of.account.tenant.to_string(),
            event: text(of.account.event),
            team: text(of.account.team),
            lab: text(of.lab),
            state: reservation.state.name(),
            amount_micro: of.amount_micro,
            settled_micro: reservation.settled_micro,
            currency: of.currency.to_string(),
            expires_at: format_rfc3339_ms(of.expires_at_ms),
        }
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Problem {
        let text = error.to_string();
        match error {
            LedgerError::OverBudget { .. } => Problem::new(StatusCode::CONFLICT, "over_budget", text)
                .hint("ask for less, wait until open reservations are settled, or have the budget raised"),
            LedgerError::Currency { .. } => Problem::new(StatusCode::CONFLICT, "other_currency", text)
                .hint("set the budget anew in the currency of the tenant's prices"),
            LedgerError::Unknown => Problem::new(StatusCode::NOT_FOUND, "unknown_reservation", text),
            LedgerError::Other(_) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "other_content", text)
                .hint("the same id has to come with the same content; use another id for another reservation"),
            LedgerError::Closed(State::Released) => Problem::new(StatusCode::CONFLICT, "closed", text)
                .hint("what was used nevertheless is sent as a usage record: POST /api/v1/records"),
            LedgerError::Closed(_) => Problem::new(StatusCode::CONFLICT, "closed", text),
            LedgerError::Database(_) | LedgerError::Failpoint(_) => {
                // Its text may name hosts: that is for the operator's log.
                tracing::error!(error = %text, "the ledger of budgets failed");
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "ledger_away", "the ledger of budgets does not answer")
                    .hint("send it again with the same Idempotency-Key or id: it counts once")
                    .retry_after(1)
            }
        }
    }
}

/// Holds the most that something can cost, if all budgets of the team, the event and the tenant allow it. The id is that of
/// the `Idempotency-Key`, where there is one: the same again answers the same.
#[utoipa::path(post, path = "/api/v1/billing/reservations", tag = "billing", security(("token" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Names the reservation")), request_body = ReservationRequest,
    responses((status = 201, description = "It is held", body = ReservationAnswer),
        (status = 200, description = "It was made before", body = ReservationAnswer), (status = 400, body = Problem),
        (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, description = "No budgets here", body = Problem),
        (status = 409, description = "A budget has less left", body = Problem), (status = 415, body = Problem),
        (status = 422, description = "No price, or the id came with something else", body = Problem), (status = 503, body = Problem)))]
pub async fn post(
    AxumState(state): AxumState<AppState>,
    _feeder: Feeder,
    headers: HeaderMap,
    ApiJson { value: request, .. }: ApiJson<ReservationRequest>,
) -> Result<Response, Problem> {
    let budgets = Budgets::of(&state)?;
    let now_ms = (state.clock)();
    let item = checked(&request)?;
    let ttl_s = request.ttl_s.unwrap_or(TTL_S_DEFAULT);
    if ttl_s == 0 || ttl_s > TTL_S_MAX {
        return Err(Problem::invalid("ttl_s", format!("is {ttl_s}; 1 to {TTL_S_MAX} were expected")));
    }
    let (tenant, event, team) = (request.tenant.clone(), request.event.clone(), request.team.clone());
    let account = Account { tenant, event, team };
    let (amount_micro, currency) = most(&budgets, &request, &account, &item, now_ms)?;
    // What it is told apart by has to last longer than this process: the id and the content, in the database.
    let asked = serde_json::to_vec(&request).expect("a request in memory can be written");
    let reservation: Id = match key_of(&headers)? {
        Some(key) => {
            let hash = blake3::hash(format!("{}\n{key}", request.tenant).as_bytes());
            format!("r-{}", &hash.to_hex()[..32]).into()
        }
        None => format!("r-{:032x}", rand::random::<u128>()).into(),
    };
    let ask = Ask {
        reservation,
        account,
        lab: request.lab.clone(),
        item,
        amount_micro,
        currency,
        asked: blake3::hash(&asked).to_hex().to_string(),
        expires_at_ms: now_ms.saturating_add(i64::try_from(ttl_s * 1_000).unwrap_or(i64::MAX)),
    };
    let (made, fresh) = budgets.ledger().reserve(&ask, now_ms).await?;
    Ok(answer(if fresh { StatusCode::CREATED } else { StatusCode::OK }, made))
}

fn answer(status: StatusCode, of: Reservation) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(ReservationAnswer::from(of))).into_response()
}

fn checked(request: &ReservationRequest) -> Result<Item, Problem> {
    let ids = [
        ("tenant", Some(&request.tenant)),
        ("event", request.event.as_ref()),
        ("team", request.team.as_ref()),
        ("lab", request.lab.as_ref()),
        ("model", request.model.as_ref()),
        ("machine", request.machine.as_ref()),
    ];
    for (field, id) in ids {
        if let Some(problem) = id.and_then(|id| id_problem(id)) {
            return Err(Problem::invalid(field, problem));
        }
    }
    if request.team.is_some() && request.event.is_none() {
        return Err(Problem::invalid("team", "is given without `event`: teams are named within their event"));
    }
    let numbers = [
        ("max_input_tokens", request.max_input_tokens),
        ("max_output_tokens", request.max_output_tokens),
        ("max_duration_ms", request.max_duration_ms),
        ("amount_micro", request.amount_micro.map_or(0, |n| u64::try_from(n).unwrap_or(u64::MAX))),
    ];
    for (field, number) in numbers {
        if number > AMOUNT_MAX {
            return Err(Problem::invalid(field, format!("is not within 0 to {AMOUNT_MAX}")));
        }
    }
    match (&request.model, &request.machine) {
        (Some(model), None) => Ok(Item::Model(model.clone())),
        (None, Some(machine)) => Ok(Item::Machine(machine.clone())),
        _ => Err(Problem::invalid("model", "is what is to be used: either `model` or `machine` was expected")),
    }
}

fn cell(account: &Account, lab: &Option<Id>, item: &Item, now_ms: i64) -> Cell {
    Cell {
        tenant: account.tenant.clone(),
        item: item.clone(),
        minute: now_ms.div_euclid(MINUTE_MS),
        event: account.event.clone(),
        team: account.team.clone(),
        lab: lab.clone(),
        reserved: true,
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The most that it can cost, and in which currency.
fn most(
    budgets: &Budgets,
    request: &ReservationRequest,
    account: &Account,
    item: &Item,
    now_ms: i64,
) -> Result<(i64, Id), Problem> {
    let no_price = |detail: String| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "no_price", detail)
            .hint("publish a price list that has it (price.published), or say `amount_micro`")
    };
    let currency = budgets.pricing.currency(&account.tenant);
    let currency = currency.ok_or_else(|| no_price(format!("tenant `{}` has no price list", account.tenant)))?;
    if let Some(amount_micro) = request.amount_micro {
        return Ok((amount_micro, currency));
    }
    let usage = Usage {
        records: 1,
        input_tokens: signed(request.max_input_tokens),
        output_tokens: signed(request.max_output_tokens),
        cached_tokens: 0,
        duration_ms: signed(request.max_duration_ms),
    };
    let charged = budgets.pricing.charge_at_most(&cell(account, &request.lab, item, now_ms), &usage);
    if charged.unpriced {
        return Err(no_price(format!("no price list in force has all that `{}` may use", item.name())));
    }
    Ok((charged.cost_micro, currency))
}

/// Says what a reservation's holder used: it is charged, and what was held beyond it is free again. Also when it has expired.
#[utoipa::path(post, path = "/api/v1/billing/reservations/{reservation}/settle", tag = "billing",
    security(("token" = [])), request_body = SettleRequest,
    params(("reservation" = String, Path, description = "Its id")),
    responses((status = 200, body = ReservationAnswer), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, description = "It was released", body = Problem), (status = 415, body = Problem),
        (status = 422, description = "It was settled with something else", body = Problem), (status = 503, body = Problem)))]
pub async fn settle(
    AxumState(state): AxumState<AppState>,
    _feeder: Feeder,
    ApiPath(reservation): ApiPath<String>,
    ApiJson { value: request, .. }: ApiJson<SettleRequest>,
) -> Result<Response, Problem> {
    let budgets = Budgets::of(&state)?;
    let now_ms = (state.clock)();
    if request.cached_tokens > request.input_tokens {
        return Err(Problem::invalid("cached_tokens", "are more than `input_tokens`, of which they are a part"));
    }
    for (field, number) in [
        ("input_tokens", request.input_tokens),
        ("output_tokens", request.output_tokens),
        ("duration_ms", request.duration_ms),
    ] {
        if number > AMOUNT_MAX {
            return Err(Problem::invalid(field, format!("is more than {AMOUNT_MAX}")));
        }
    }
    let of = budgets.ledger().get(&reservation).await?;
    let usage = match &of.ask.item {
        Item::Model(_) if request.duration_ms != 0 => {
            return Err(Problem::invalid("duration_ms", "is that of a machine, and a model was reserved"));
        }
        Item::Machine(_) if request.input_tokens != 0 || request.output_tokens != 0 => {
            return Err(Problem::invalid("input_tokens", "are those of a model, and a machine was reserved"));
        }
        _ => Usage {
            records: 1,
            input_tokens: signed(request.input_tokens),
            output_tokens: signed(request.output_tokens),
            cached_tokens: signed(request.cached_tokens),
            duration_ms: signed(request.duration_ms),
        },
    };
    let cell = cell(&of.ask.account, &of.ask.lab, &of.ask.item, now_ms);
    // Tiers count calendar months.
    let before = budgets.burn.used_since(window_start(cell.minute, Span::Month, chrono_tz::UTC), &cell);
    let charged = budgets.pricing.charge(&cell, &usage, &before);
    let settled = budgets.ledger().settle(&of, &usage, charged.cost_micro, now_ms).await?;
    budgets.applier.wake();
    Ok(answer(StatusCode::OK, settled))
}

/// Gives a reservation up of which nothing was used.
#[utoipa::path(post, path = "/api/v1/billing/reservations/{reservation}/release", tag = "billing",
    security(("token" = [])),
    params(("reservation" = String, Path, description = "Its id")),
    responses((status = 200, body = ReservationAnswer), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, description = "It was settled", body = Problem), (status = 503, body = Problem)))]
pub async fn release(
    AxumState(state): AxumState<AppState>,
    _feeder: Feeder,
    ApiPath(reservation): ApiPath<String>,
) -> Result<Response, Problem> {
    let budgets = Budgets::of(&state)?;
    let released = budgets.ledger().release(&reservation, (state.clock)()).await?;
    Ok(answer(StatusCode::OK, released))
}

/// A reservation as it stands.
#[utoipa::path(get, path = "/api/v1/billing/reservations/{reservation}", tag = "billing",
    security(("token" = [])),
    params(("reservation" = String, Path, description = "Its id")),
    responses((status = 200, body = ReservationAnswer), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn get(
    AxumState(state): AxumState<AppState>,
    principal: crate::http::Principal,
    ApiPath(reservation): ApiPath<String>,
) -> Result<Response, Problem> {
    let found = Budgets::of(&state)?.ledger().get(&reservation).await;
    // Who may not see it does not learn whether it is there.
    let tenant = found.as_ref().map_or("", |found| found.ask.account.tenant.as_str());
    principal.require_tenant(tenant)?;
    let found = found?;
    Ok(answer(StatusCode::OK, found))
}
