-- Who is in which segment. computed_at is the instant of the computation in which the user entered.
CREATE TABLE IF NOT EXISTS segment_memberships
(
    segment_id UInt64,
    user_id String,
    computed_at DateTime64(3, 'UTC'),
    version UInt64,
    is_deleted UInt8
)
ENGINE = ReplacingMergeTree(version, is_deleted)
ORDER BY (segment_id, user_id);

-- Who entered and who left, by computation: append only.
CREATE TABLE IF NOT EXISTS membership_changes
(
    segment_id UInt64,
    computation_id UInt64,
    user_id String,
    change Enum8('entered' = 1, 'exited' = 2),
    computed_at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (segment_id, computation_id, user_id);

-- Whom a delta has to look at, and copies of their events: a scratch partition per computation, dropped when it is
-- over. A reason numbers one way to become a candidate; segments share the reasons that they have in common.
CREATE TABLE IF NOT EXISTS candidates
(
    computation_id UInt64,
    reason UInt64,
    user_id String
)
ENGINE = MergeTree
PARTITION BY computation_id
ORDER BY (reason, user_id);

CREATE TABLE IF NOT EXISTS candidate_events
(
    computation_id UInt64,
    event_id UUID,
    user_id String,
    event_type LowCardinality(String),
    occurred_at DateTime64(3, 'UTC'),
    ingested_at DateTime64(3, 'UTC'),
    payload String
)
ENGINE = MergeTree
PARTITION BY computation_id
ORDER BY (event_type, user_id, occurred_at, event_id);
