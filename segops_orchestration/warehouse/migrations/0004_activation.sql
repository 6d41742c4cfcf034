-- What the platforms have acknowledged: one row per connector and user. An intent (adding, removing) is written before
-- the request; one that stays so is of a request whose outcome nobody knows. "action" is what was last asked of the
-- platform. "present" says whether it may hold the user because we added them: 0 no, 1 perhaps, 2 only if the request
-- under way gets there. Versions grow with every sync.
CREATE TABLE IF NOT EXISTS activation_state
(
    connector_id UInt64,
    user_id String,
    state Enum8('adding' = 1, 'delivered' = 2, 'removing' = 3, 'removed' = 4, 'rejected' = 5, 'parked' = 6),
    action Enum8('add' = 1, 'remove' = 2),
    present UInt8,
    platform_id String,
    attempts UInt16,
    retry_at DateTime64(3, 'UTC'),
    reason String CODEC(ZSTD(1)),
    batch_id String CODEC(ZSTD(1)),
    change Enum8(
        'none' = 0, 'added' = 1, 'removed' = 2, 'rejected' = 3, 'parked' = 4, 'unknown' = 5, 'found' = 6, 'missing' = 7
    ),
    sync_id UInt64,
    at DateTime64(3, 'UTC'),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (connector_id, user_id);

-- What became of whom, sync by sync: append only, for questions such as which users flap.
CREATE TABLE IF NOT EXISTS activation_changes
(
    connector_id UInt64,
    sync_id UInt64,
    user_id String,
    change Enum8(
        'none' = 0, 'added' = 1, 'removed' = 2, 'rejected' = 3, 'parked' = 4, 'unknown' = 5, 'found' = 6, 'missing' = 7
    ),
    reason String CODEC(ZSTD(1)),
    at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (connector_id, sync_id, user_id);

CREATE MATERIALIZED VIEW IF NOT EXISTS activation_state_to_activation_changes TO activation_changes AS
SELECT connector_id, sync_id, user_id, change, reason, at
FROM activation_state
WHERE change != 'none';

-- One row per sync that ended.
CREATE TABLE IF NOT EXISTS activation_runs
(
    connector_id UInt64,
    sync_id UInt64,
    connector String,
    type LowCardinality(String),
    segment_id UInt64,
    segment String,
    segment_version UInt32,
    computation_id UInt64,
    kind LowCardinality(String),
    status LowCardinality(String),
    started_at DateTime64(3, 'UTC'),
    finished_at DateTime64(3, 'UTC'),
    added UInt64,
    removed UInt64,
    rejected UInt64,
    pending UInt64,
    audience UInt64,
    requests UInt64,
    retries UInt64,
    error String
)
ENGINE = ReplacingMergeTree
ORDER BY (connector_id, sync_id);

-- The difference that one sync sends: a scratch partition per sync, kept while the difference is held or approved.
-- The columns from "state" on are what the connector's state was. "batch_id" is that of a request whose outcome is
-- unknown and which is sent once more; "approved" says that somebody has let this change go.
CREATE TABLE IF NOT EXISTS activation_plan
(
    connector_id UInt64,
    sync_id UInt64,
    action Enum8('add' = 1, 'remove' = 2, 'forget' = 3),
    batch_id String,
    user_id String,
    approved UInt8,
    entered_at DateTime64(3, 'UTC'),
    state LowCardinality(String),
    last_action LowCardinality(String),
    present UInt8,
    platform_id String,
    attempts UInt16,
    retry_at DateTime64(3, 'UTC'),
    reason String CODEC(ZSTD(1)),
    last_batch_id String
)
ENGINE = MergeTree
PARTITION BY (connector_id, sync_id)
ORDER BY (action, batch_id, user_id);

-- Who is in the platform's audience, as read back by a verification: a scratch partition per verification.
CREATE TABLE IF NOT EXISTS activation_found
(
    connector_id UInt64,
    sync_id UInt64,
    user_id String
)
ENGINE = MergeTree
PARTITION BY (connector_id, sync_id)
ORDER BY user_id;
