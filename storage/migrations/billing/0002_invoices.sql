-- Closed months. A document is never changed: what is found later goes into another.
CREATE TABLE invoices (
    tenant TEXT NOT NULL,
    -- YYYY-MM, UTC
    month TEXT NOT NULL,
    -- 0: the invoice; from 1 on: credit notes.
    number BIGINT NOT NULL,
    -- JSON, as it was made
    document TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, month, number)
);
