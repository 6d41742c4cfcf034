-- What happened: one row per delivery, one row per event once merged.
-- first_delivery is larger the earlier an event came in, so a merge keeps the first delivery of an event and a
-- redelivery changes nothing.
CREATE TABLE IF NOT EXISTS events
(
    event_id UUID,
    user_id String,
    event_type LowCardinality(String),
    occurred_at DateTime64(3, 'UTC'),
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC'),
    payload String CODEC(ZSTD(1)),
    first_delivery UInt64 MATERIALIZED bitNot(toUInt64(toUnixTimestamp64Milli(ingested_at)))
)
ENGINE = ReplacingMergeTree(first_delivery)
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (event_type, user_id, occurred_at, event_id);

-- The same events in the order of users. A computation of everyone reads a slice of one event type; one of a few users
-- reads those users' events, which lie side by side here. Measured: copying out 100 of 50,000 users' events takes a
-- quarter of the time that it takes from the table above, and no longer as the history grows.
CREATE TABLE IF NOT EXISTS events_by_user
(
    event_id UUID,
    user_id String,
    event_type LowCardinality(String),
    occurred_at DateTime64(3, 'UTC'),
    ingested_at DateTime64(3, 'UTC'),
    payload String CODEC(ZSTD(1)),
    first_delivery UInt64 MATERIALIZED bitNot(toUInt64(toUnixTimestamp64Milli(ingested_at)))
)
ENGINE = ReplacingMergeTree(first_delivery)
ORDER BY (user_id, event_type, occurred_at, event_id)
SETTINGS index_granularity = 256, min_compress_block_size = 16384, max_compress_block_size = 32768;

CREATE MATERIALIZED VIEW IF NOT EXISTS events_to_events_by_user TO events_by_user AS
SELECT event_id, user_id, event_type, occurred_at, ingested_at, payload
FROM events;

-- Who had events arrive, in the order in which inserts were committed: _block_number grows with every insert and
-- stays with its row through merges. That number is the watermark.
CREATE TABLE IF NOT EXISTS arrivals
(
    ingested_at DateTime64(3, 'UTC'),
    user_id String
)
ENGINE = MergeTree
ORDER BY (ingested_at, user_id)
TTL toDateTime(ingested_at, 'UTC') + INTERVAL 14 DAY
SETTINGS enable_block_number_column = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS events_to_arrivals TO arrivals AS
SELECT ingested_at, user_id
FROM events
GROUP BY ingested_at, user_id;

-- Everyone who ever had an event.
CREATE TABLE IF NOT EXISTS users
(
    user_id String,
    first_seen SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    last_seen SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY user_id;

CREATE MATERIALIZED VIEW IF NOT EXISTS events_to_users TO users AS
SELECT user_id, min(occurred_at) AS first_seen, max(occurred_at) AS last_seen
FROM events
GROUP BY user_id;

-- What users said about themselves.
CREATE TABLE IF NOT EXISTS identifications
(
    user_id String,
    occurred_at DateTime64(3, 'UTC'),
    event_id UUID,
    ingested_at DateTime64(3, 'UTC'),
    payload String CODEC(ZSTD(1)),
    first_delivery UInt64 MATERIALIZED bitNot(toUInt64(toUnixTimestamp64Milli(ingested_at)))
)
ENGINE = ReplacingMergeTree(first_delivery)
ORDER BY (user_id, occurred_at, event_id);

CREATE MATERIALIZED VIEW IF NOT EXISTS events_to_identifications TO identifications AS
SELECT user_id, occurred_at, event_id, ingested_at, payload
FROM events
WHERE event_type = 'context_identified';

-- The latest identification of each user that is not in the future. Redeliveries are put aside first, so that the
-- answer is the same before and after a merge. ClickHouse orders UUIDs by their second half first; as numbers they
-- are ordered like their text.
CREATE VIEW IF NOT EXISTS user_properties AS
SELECT
    user_id,
    argMax(delivered_payload, (occurred_at, delivered_at, UUIDToNum(event_id))) AS properties,
    max(occurred_at) AS identified_at
FROM
(
    SELECT
        user_id,
        occurred_at,
        event_id,
        argMin(payload, ingested_at) AS delivered_payload,
        min(ingested_at) AS delivered_at
    FROM identifications
    WHERE occurred_at <= now64(3, 'UTC')
    GROUP BY user_id, occurred_at, event_id
)
GROUP BY user_id;

-- What was refused, and why.
CREATE TABLE IF NOT EXISTS dead_letters
(
    received_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC'),
    source String,
    row_number UInt64,
    field String,
    value String,
    reason String
)
ENGINE = MergeTree
ORDER BY (received_at, source, row_number);
