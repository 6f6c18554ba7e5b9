-- One text for SQLite and PostgreSQL. An absent event or team is the empty text, so that it can be part of a key.

-- What counts against budgets: on every account that spends, and on those above it.
CREATE TABLE accounts (
    tenant TEXT NOT NULL,
    event TEXT NOT NULL,
    team TEXT NOT NULL,
    -- The most that open reservations may cost.
    reserved_micro BIGINT NOT NULL DEFAULT 0,
    -- What reservations were settled with.
    settled_micro BIGINT NOT NULL DEFAULT 0,
    -- What the stream charged without a reservation.
    unreserved_micro BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, event, team)
);

CREATE TABLE budgets (
    tenant TEXT NOT NULL,
    event TEXT NOT NULL,
    budget TEXT NOT NULL,
    team TEXT NOT NULL,
    limit_micro BIGINT NOT NULL,
    currency TEXT NOT NULL,
    -- 1: only alerts.
    soft BIGINT NOT NULL,
    -- The marks, as JSON.
    alerts_bp TEXT NOT NULL,
    -- The highest mark that an alert was sent for and that is still passed.
    told_bp BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, event, budget)
);
CREATE INDEX budgets_of_account ON budgets (tenant, event, team);

CREATE TABLE reservations (
    reservation TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    event TEXT NOT NULL,
    team TEXT NOT NULL,
    lab TEXT NOT NULL,
    -- model or machine
    kind TEXT NOT NULL,
    item TEXT NOT NULL,
    amount_micro BIGINT NOT NULL,
    currency TEXT NOT NULL,
    -- open, settled, released or expired
    state TEXT NOT NULL,
    -- SHA-256 of what was asked for: an id that comes again has to ask for the same.
    asked TEXT NOT NULL,
    -- What it was settled with, as JSON.
    used TEXT NOT NULL DEFAULT '',
    settled_micro BIGINT NOT NULL DEFAULT 0,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    closed_at_ms BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX reservations_that_expire ON reservations (state, expires_at_ms);

-- Records that are to be appended to the log: written with what they tell of, removed once they are durable there.
CREATE TABLE outbox (
    id TEXT NOT NULL PRIMARY KEY,
    created_at_ms BIGINT NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX outbox_in_order ON outbox (created_at_ms, id);

-- How far a pipeline's epochs are booked.
CREATE TABLE applied (
    pipeline TEXT NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL
);
